import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessages, readCalls } from './messages.ts';

const entry = (second: string, direction: string, lines: string[]) =>
  [
    `----------------------------------------------- 2026-11-22 10:00:${second}`,
    direction === 'sent' ? 'UDP message sent (500 bytes):' : 'UDP message received [500] bytes :',
    '',
    ...lines,
    '',
  ].join('\n');

const IDS = ['Call-ID: a@b', 'From: <sip:+49@x>;tag=1'];
const INVITE = [
  'INVITE sip:102@127.0.0.1:5060 SIP/2.0',
  ...IDS,
  'CSeq: 1 INVITE',
  'X-Call-ID: mine',
  '',
  'm=audio 40002 RTP/AVP 0',
];
const response = (status: string, method = 'INVITE') => [
  `SIP/2.0 ${status}`,
  ...IDS,
  `CSeq: 1 ${method}`,
  '',
];

test('an answered call: times from the INVITE, ids, our port, and who hung up', () => {
  const log = [
    entry('00.000000', 'sent', INVITE),
    entry('00.001000', 'received', response('100 Trying')),
    entry('00.010500', 'received', response('180 Ringing')),
    entry('00.200000', 'received', response('200 OK')),
    entry('00.201000', 'sent', ['ACK sip:127.0.0.1 SIP/2.0', ...IDS, 'CSeq: 1 ACK', '']),
    entry('02.200000', 'received', ['BYE sip:x SIP/2.0', ...IDS, 'CSeq: 9 BYE', '']),
    entry('02.201000', 'sent', response('200 OK', 'BYE')),
  ].join('\n');
  const [call, ...others] = readCalls(parseMessages(log));
  assert.deepEqual(others, []);
  assert.partialDeepStrictEqual(call, {
    sipCallId: 'a@b',
    callId: 'mine',
    to: 'sip:102@127.0.0.1:5060',
    mediaPort: 40_002,
    statuses: [100, 180, 200],
    status: 200,
    ringingMs: 10.5,
    inviteToAnswerMs: 200,
    endedBy: 'them',
    byeAfterAnswerMs: 2000,
    answeredAtMs: Date.UTC(2026, 10, 22, 10, 0, 0, 200),
  });
});

test('a call that was refused, or cancelled, has that status and no answer', () => {
  const refused = [
    entry('00.000000', 'sent', INVITE),
    entry('00.050000', 'received', response('486 Busy Here')),
  ];
  const [busy] = readCalls(parseMessages(refused.join('\n')));
  assert.deepEqual([busy?.status, busy?.answeredAtMs, busy?.endedBy], [486, undefined, undefined]);
  const cancelled = [
    entry('00.000000', 'sent', INVITE),
    entry('01.000000', 'sent', ['CANCEL sip:102@127.0.0.1 SIP/2.0', ...IDS, 'CSeq: 1 CANCEL', '']),
    entry('01.001000', 'received', response('200 OK', 'CANCEL')),
    entry('01.002000', 'received', response('487 Request Terminated')),
  ];
  const [gone] = readCalls(parseMessages(cancelled.join('\n')));
  assert.deepEqual([gone?.status, gone?.endedBy, gone?.answeredAtMs], [487, 'us', undefined]);
});

test('calls are told apart by their Call-ID, and messages of no call are left alone', () => {
  const other = INVITE.map((line) => line.replace('a@b', 'c@d'));
  const options = entry('00.500000', 'received', [
    'OPTIONS sip:x SIP/2.0',
    'Call-ID: e@f',
    'CSeq: 1 OPTIONS',
    '',
  ]);
  const log = [entry('00.000000', 'sent', INVITE), options, entry('01.000000', 'sent', other)].join('\n');
  assert.deepEqual(
    readCalls(parseMessages(log)).map(({ sipCallId }) => sipCallId),
    ['a@b', 'c@d'],
  );
});

test('an empty log has no messages', () => {
  assert.deepEqual(parseMessages(''), []);
});
