import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from './messages.ts';
import { replyText, requestText, takeMessage } from './text.ts';

const REQUEST = {
  method: 'INVITE',
  uri: 'sip:1@h',
  transport: 'UDP',
  via: '127.0.0.2:5',
  branch: 'z9hG4bK1',
  from: '<sip:a@b>;tag=1',
  to: '<sip:1@h>',
  contact: '<sip:a@b>',
  callId: 'id',
  sequence: 1,
};

test('a header that is given takes the place of the usual one', () => {
  const headers = ['From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=1', 'Privacy: id'];
  const message = parseMessage(requestText({ ...REQUEST, headers, body: 'ü' }), 0, true);
  assert.match(message.headers.from ?? '', /anonymous/);
  assert.equal(message.headers.privacy, 'id');
  assert.equal(message.headers['content-length'], '2');
});

test('a reply has the dialogue of its request', () => {
  const request = parseMessage(requestText(REQUEST), 0, false);
  const { status, headers } = parseMessage(replyText(request, '486 Busy Here', { tag: 't' }), 0, true);
  assert.equal(status, 486);
  assert.deepEqual([headers.to, headers.cseq], ['<sip:1@h>;tag=t', '1 INVITE']);
});

test('messages of a stream are taken whole', () => {
  const bytes = Buffer.from(requestText({ ...REQUEST, body: 'v=0' }) + requestText(REQUEST));
  assert.equal(takeMessage(bytes.subarray(0, 60)), undefined);
  const first = takeMessage(bytes);
  assert.ok(first?.text.endsWith('v=0'));
  assert.equal(takeMessage(first?.rest ?? bytes)?.rest.length, 0);
});
