// Each breaks one promise in what was built, and must turn at least one case of the conformance suite red.
// `find` must match exactly once in `file`; white space is free, so that only real changes break it.

/**
 * @typedef {object} Mutation
 * @property {string} promise what is broken
 * @property {string} file
 * @property {string} find
 * @property {string} replace
 * @property {string} only the cases that should notice, so that a run is short
 * @property {string} [without] abilities to take away
 */

const core = 'packages/core/dist/'
const memory = 'adapters/memory/dist/'

/** @type {readonly Mutation[]} */
export const mutations = [
  // --- retry and order
  {
    promise: 'no retry too many',
    file: `${core}consume/decide.js`,
    find: 'if (attempt >= rule.attempts)',
    replace: 'if (attempt > rule.attempts)',
    only: '5a2',
  },
  {
    promise: 'a held retry waits for its backoff',
    file: `${core}consume/subscription.js`,
    find: 'return hold(flight, outcome.delayMs); case "postpone":'.replaceAll('"', "'"),
    replace: "return hold(flight, 0); case 'postpone':",
    only: '5c',
  },
  {
    promise: 'the count of attempts travels with a released retry',
    file: `${core}consume/progress.js`,
    find: 'if (progress.made > 0) headers.push',
    replace: 'if (false) headers.push',
    only: '5j',
  },
  {
    promise: 'what never ran is not counted',
    file: `${core}consume/subscription.js`,
    find: 'const { token, message } = flight.delivery;',
    replace:
      'flight.progress = { ...flight.progress, made: flight.progress.made + 1 }; const { token, message } = flight.delivery;',
    only: '5h',
  },
  {
    promise: 'a held key is not overtaken',
    file: `${core}consume/subscription.js`,
    find: "if (!mine || flight.state !== 'waiting') scheduler.leaveKey(flight);",
    replace: 'scheduler.leaveKey(flight);',
    only: '4c',
  },
  {
    promise: 'one of a key at a time',
    file: `${core}consume/scheduler.js`,
    find: 'if (queue !== undefined) {',
    replace: 'if (false) {',
    only: '4a',
  },
  {
    promise: 'no more handlers than concurrency',
    file: `${core}consume/scheduler.js`,
    find: 'running < concurrency',
    replace: 'running <= concurrency',
    only: '12b',
  },
  {
    promise: 'a message that kills its process ends in the dead letters',
    file: `${core}consume/attempt.js`,
    find: 'count > deliveryLimit',
    replace: 'false',
    only: '5m',
  },
  // --- settling
  {
    promise: 'nothing is acknowledged before its handler has succeeded',
    file: `${core}consume/subscription.js`,
    find: 'const result = attempt.run(flight);',
    replace:
      "flightsOf(flight).settle(flight, { token: flight.delivery.token, kind: 'ack' }); const result = attempt.run(flight);",
    only: '5a2',
  },
  {
    promise: 'what failed for good goes to the dead letters',
    file: `${core}consume/subscription.js`,
    find: "kind: 'move', to: { kind: 'dead-letter', channel: channel.name, group },",
    replace: "kind: 'ack', to: { kind: 'dead-letter', channel: channel.name, group },",
    only: '5f',
  },
  {
    promise: 'a settlement that failed is tried again',
    file: `${core}consume/flights.js`,
    find: 'trouble = error; again(flight);',
    replace: 'trouble = error;',
    only: '22a',
  },
  {
    promise: 'leases are renewed',
    file: `${core}consume/flights.js`,
    find: 'if (renewals.length === 0) queueMicrotask(renew);',
    replace: '',
    only: '11a',
  },
  {
    promise: 'a stop gives back what did not run',
    file: `${core}consume/subscription.js`,
    find: "if (flight.state === 'queued') giveBack(flight);",
    replace:
      "if (flight.state === 'queued') flightsOf(flight).settle(flight, { token: flight.delivery.token, kind: 'ack' });",
    only: '13a',
  },
  {
    promise: 'a handler past its time-out sees the abort',
    file: `${core}consume/timeout.js`,
    find: 'watch.abort(error());',
    replace: '',
    only: '11c',
  },
  // --- deduplication
  {
    promise: 'a duplicate is settled',
    file: `${core}consume/subscription.js`,
    find: "if (outcome.duplicate) event('duplicate');",
    replace: "if (outcome.duplicate) return event('duplicate');",
    only: '9b',
  },
  {
    promise: 'a duplicate is settled only after the first succeeded',
    file: `${core}consume/deduplicate.js`,
    find: "return claim.status === 'duplicate' ? DUPLICATE : BUSY;",
    replace: 'return DUPLICATE;',
    only: '9a',
  },
  {
    promise: 'only what succeeded is remembered',
    file: `${core}consume/deduplicate.js`,
    find: 'return failure ? failed(key, fence, failure.error) : complete(key, fence, signal);',
    replace: 'return complete(key, fence, signal);',
    only: '9d',
  },
  {
    promise: 'nothing runs while the store is down',
    file: `${core}consume/deduplicate.js`,
    find: 'catch (error) { return unavailable(error); } }; } /** The store',
    replace: 'catch (error) { return run(key, 0, work, signal); } }; } /** The store',
    only: '23a',
  },
  // --- dead letters
  {
    promise: 'a replay starts anew: our headers are stripped',
    file: `${core}dead-letter/letter.js`,
    find: '[...foreignHeaders(message.headers), ...ours]',
    replace: '[...message.headers, ...ours]',
    only: '6d',
  },
  {
    promise: 'a replay goes to the failing group alone',
    file: `${core}dead-letter/admin.js`,
    find: "{ kind: 'group', channel: name, group, delayMs }",
    replace: "{ kind: 'channel', channel: name }",
    only: '6d',
  },
  {
    promise: 'a foreign message keeps the id that it was given',
    file: `${core}dead-letter/letter.js`,
    find: 'if (id !== undefined) ours.push([HEADER.id, id]);',
    replace: '',
    only: '6b',
  },
  {
    promise: 'what the schema refuses never reaches the handler',
    file: `${core}consume/decode.js`,
    find: 'const judge = (result) => result.issues ?',
    replace: 'const judge = (result) => false ?',
    only: '7a',
  },
  // --- publishing
  {
    promise: 'a publish resolves only when the broker has confirmed it',
    file: `${core}publish/queue.js`,
    find: 'results = await options.send(',
    replace: 'for (const entry of batch) { finish(entry); entry.resolve({}); } results = await options.send(',
    only: '10d',
  },
  {
    promise: 'uncertainty sticks',
    file: `${core}publish/queue.js`,
    find: 'const unknown = entry.uncertain || entry.state',
    replace: 'const unknown = entry.state',
    only: '18b',
  },
  {
    promise: 'a retried publish stays ahead of the later ones of its key',
    file: `${core}publish/queue.js`,
    find: '[...again.filter((entry) => entry.key === key), ...key.parked]',
    replace: '[...key.parked, ...again.filter((entry) => entry.key === key)]',
    only: '4b',
  },
  {
    promise: 'one batch of a key in flight',
    file: `${core}publish/queue.js`,
    find: 'for (const key of taken) key.blocked = true;',
    replace: '',
    only: '4b',
  },
  // --- faults
  {
    promise: 'topology is made again after it was deleted',
    file: `${core}supervisor.js`,
    find: 'await setUp(channel, known).catch((error) => log.error(',
    replace: 'await Promise.resolve().catch((error) => log.error(',
    only: '24',
  },
  {
    promise: 'a stall is seen',
    file: `${core}consume/stall.js`,
    find: 'if (backlog !== null && backlog > 0)',
    replace: 'if (false)',
    only: '26a',
  },
  // --- the memory adapter
  {
    promise: 'a source is settled only when the copy of a move is confirmed',
    file: `${memory}settle.js`,
    find: 'if (written?.ok) finish(handed, prefix); results.push(written?.ok === false ? written : OK);',
    replace: 'finish(handed, prefix); results.push(OK);',
    only: 'd19,22a',
  },
  {
    promise: 'a delay is kept',
    file: `${memory}write.js`,
    find: 'const dueAt = delayMs > 0 ? Math.ceil(stamp.now + delayMs) : 0;',
    replace: 'const dueAt = 0;',
    only: '5d',
  },
  {
    promise: "a lease that ran out is somebody else's",
    file: `${memory}leases.js`,
    find: 'if (due.length > 0) expired(due);',
    replace: '',
    only: '9c',
  },
  {
    promise: 'a key has one lane',
    file: `${memory}log.js`,
    find: 'key === undefined ? channel.turn++',
    replace: 'true ? channel.turn++',
    only: '4f,20b,d17,2d',
  },
  {
    promise: 'behind a refused entry nothing of its key is written',
    file: `${memory}write.js`,
    find: 'if (failed && key !== undefined && failed.has(orderOf(outgoing.to, key)))',
    replace: 'if (false)',
    only: 'd18,4b',
  },
  {
    promise: 'stats know what is in flight',
    file: `${memory}stats.js`,
    find: 'inFlight += lane.inFlight;',
    replace: '',
    only: '16b',
  },
]
