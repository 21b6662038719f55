import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Replies } from './replies.ts';

const late = () => new Error('no reply in time');

test('a request whose thread hangs ends with its time limit, and a reply after that is ignored', async () => {
  const replies = new Replies();
  let asked = 0;
  const hanging = replies.ask((id) => (asked = id), 20, late);
  await assert.rejects(hanging, /no reply in time/);
  assert.equal(replies.size, 0);
  replies.resolve(asked, 'too late');
  replies.reject(asked, new Error('too late'));
});

test('a request that cannot be sent is not pending', async () => {
  const replies = new Replies();
  const refuse = () => {
    throw new Error('cannot be cloned');
  };
  await assert.rejects(replies.ask(refuse, 60_000, late), /cannot be cloned/);
  assert.equal(replies.size, 0);
});

test('each reply reaches its own request, and a dead thread ends all others', async () => {
  const replies = new Replies();
  const ids: number[] = [];
  const requests = [1, 2, 3].map(() => replies.ask((id) => ids.push(id), 60_000, late));
  replies.resolve(ids[1] as number, 'second');
  replies.reject(ids[0] as number, new Error('first failed'));
  replies.rejectAll(new Error('the thread died'));
  const [first, second, third] = await Promise.allSettled(requests);
  assert.deepEqual(second, { status: 'fulfilled', value: 'second' });
  assert.match(String(first?.status === 'rejected' && first.reason), /first failed/);
  assert.match(String(third?.status === 'rejected' && third.reason), /the thread died/);
});
