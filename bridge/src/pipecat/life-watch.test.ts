import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeWatch } from './life-watch.ts';

const LIMITS = { pingMs: 500, hungMs: 3_000 };

/** What the watch says at each of `ticks` ticks. `isHeard`: by the number of the tick. */
function run(watch: LifeWatch, ticks: number, isHeard: (tick: number) => boolean): (string | undefined)[] {
  return Array.from({ length: ticks }, (_, i) => watch.tick(isHeard(i)));
}

test('a bot from which nothing comes is lost before 3 s are over', () => {
  const watch = new LifeWatch(LIMITS);
  assert.equal(watch.tickMs, 250);
  const said = run(watch, 12, (tick) => tick === 0);
  assert.equal(said.indexOf('lost'), 11);
  assert.equal(said.filter((what) => what === 'ping').length, 5);
});

test('a bot that is heard again after 2.5 s is not lost', () => {
  const watch = new LifeWatch(LIMITS);
  const said = run(watch, 100, (tick) => tick % 11 === 0);
  assert.equal(said.includes('lost'), false);
});

test('a bot that sends is hardly pinged, and a quiet one twice a second', () => {
  const isAnswered = (watch: LifeWatch) => (tick: number) => {
    watch.answered();
    return tick % 2 === 0;
  };
  const talking = new LifeWatch(LIMITS);
  const said = run(talking, 240, () => {
    talking.answered();
    return true;
  });
  assert.equal(said.filter((what) => what === 'ping').length, 4);
  const quiet = new LifeWatch(LIMITS);
  assert.equal(run(quiet, 240, isAnswered(quiet)).filter((what) => what === 'ping').length, 120);
});

test('a bot that sends but answers no ping for 30 s is lost', () => {
  const said = run(new LifeWatch(LIMITS), 200, () => true);
  const ping = said.indexOf('ping');
  assert.equal(said.indexOf('lost') - ping, 120);
});

test('a bot that was never heard has 10 s: it may load models first', () => {
  assert.equal(run(new LifeWatch(LIMITS), 200, () => false).indexOf('lost'), 39);
});

test('with hungMs 0 a quiet bot is lost for its unanswered ping only', () => {
  const said = run(new LifeWatch({ pingMs: 500, hungMs: 0 }), 200, () => false);
  assert.equal(said.indexOf('lost'), 120);
});

test('a long ping interval makes the limit as long as two of them', () => {
  const watch = new LifeWatch({ pingMs: 15_000, hungMs: 3_000 });
  assert.equal(watch.tickMs, 7_500);
  assert.deepEqual(
    run(watch, 4, (tick) => tick === 0),
    [undefined, 'ping', undefined, 'lost'],
  );
});
