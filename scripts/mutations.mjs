// Each breaks one promise in what was built, and must turn at least one case of the conformance suite red.
// `find` must match exactly once in the package's built files; white space is free, so that only real changes break it.

/**
 * @typedef {object} Mutation
 * @property {string} promise what is broken
 * @property {'core' | 'memory'} of the package
 * @property {string} find
 * @property {string} replace
 * @property {string} only the cases that should notice, so that a run is short
 * @property {string} [without] abilities to take away
 */

/** @type {readonly Mutation[]} */
export const mutations = [
  // --- retry and order
  {
    promise: 'no retry too many',
    of: 'core',
    find: 'if (attempt >= rule.attempts)',
    replace: 'if (attempt > rule.attempts)',
    only: '5a2',
  },
  {
    promise: 'a held retry waits for its backoff',
    of: 'core',
    find: 'release(flight, outcome.delayMs) : hold(flight, outcome.delayMs)',
    replace: 'release(flight, outcome.delayMs) : hold(flight, 0)',
    only: '5c',
  },
  {
    promise: 'the count of attempts travels with a released retry',
    of: 'core',
    find: 'if (progress.made > 0) headers.push',
    replace: 'if (false) headers.push',
    only: '5j',
  },
  {
    promise: 'what never ran is not counted',
    of: 'core',
    find: 'const { owner, delivery, progress } = flight; const { token, message } = delivery;',
    replace:
      'const { owner, delivery } = flight; const progress = { ...flight.progress, made: flight.progress.made + 1 }; const { token, message } = delivery;',
    only: '5h',
  },
  {
    promise: 'a held key is not overtaken',
    of: 'core',
    find: "if (!mine || flight.state !== 'waiting') scheduler.leaveKey(flight);",
    replace: 'scheduler.leaveKey(flight);',
    only: '4c',
  },
  {
    promise: 'one of a key at a time',
    of: 'core',
    find: 'if (before) {',
    replace: 'if (false) {',
    only: '4a',
  },
  {
    promise: 'no more handlers than concurrency',
    of: 'core',
    find: 'running < concurrency',
    replace: 'running <= concurrency',
    only: '12b',
  },
  {
    promise: 'a message that kills its process ends in the dead letters',
    of: 'core',
    find: 'unrun.exceeds(flight.delivery, deliveryLimit)',
    replace: 'false',
    only: '5m',
  },
  // --- settling
  {
    promise: 'nothing is acknowledged before its handler has succeeded',
    of: 'core',
    find: 'attempt.run(flight, conclude);',
    replace:
      "flight.owner.finish(flight, { token: flight.delivery.token, kind: 'ack' }); attempt.run(flight, conclude);",
    only: '5a2',
  },
  {
    promise: 'what failed for good goes to the dead letters',
    of: 'core',
    find: "return owner.finish(flight, { token: delivery.token, kind: 'move', to, headers });",
    replace: "return owner.finish(flight, { token: delivery.token, kind: 'ack' });",
    only: '5f',
  },
  {
    promise: 'a settlement that failed is tried again',
    of: 'core',
    find: 'trouble = error; again(flight);',
    replace: 'trouble = error;',
    only: '22a',
  },
  {
    promise: 'leases are renewed',
    of: 'core',
    find: 'if (renewals.length === 0) queueMicrotask(renew);',
    replace: '',
    only: '11a',
  },
  {
    promise: 'a stop gives back what did not run',
    of: 'core',
    find: 'if (isUnstarted(flight)) outcomes.giveBack(flight);',
    replace: "if (isUnstarted(flight)) flight.owner.finish(flight, { token: flight.delivery.token, kind: 'ack' });",
    only: '13a',
  },
  {
    promise: 'a handler past its time-out sees the abort',
    of: 'core',
    find: 'overdue++; attempt.abort(error());',
    replace: 'overdue++;',
    only: '11c',
  },
  {
    promise: 'the lease is renewed while a settlement waits for its next try',
    of: 'core',
    find: 'flight.settleTries++; watch(flight);',
    replace: 'flight.settleTries++;',
    only: '22a',
  },
  {
    promise: 'nothing is discarded unless the user said so',
    of: 'core',
    find: "policy.deadLetter ? 'dead-letter'",
    replace: "false ? 'dead-letter'",
    only: '5f',
  },
  {
    promise: 'at-most-once: the handler starts after the acknowledgement',
    of: 'core',
    find: 'acknowledged.add(flight); attempt.handle(flight, decoded.value, (_, result) => finish(result)); });',
    replace: 'acknowledged.add(flight); }); attempt.handle(flight, decoded.value, (_, result) => finish(result));',
    only: '14h',
  },
  // --- deduplication
  {
    promise: 'a duplicate is settled',
    of: 'core',
    find: "if (outcome.duplicate) event('duplicate');",
    replace: "if (outcome.duplicate) return event('duplicate');",
    only: '9b',
  },
  {
    promise: 'a duplicate is settled only after the first succeeded',
    of: 'core',
    find: "(status === 'duplicate' ? DUPLICATE : BUSY)",
    replace: 'DUPLICATE',
    only: '9a',
  },
  {
    promise: 'only what succeeded is remembered',
    of: 'core',
    find: "if (result.kind === 'done') complete(key, fence, job, head);",
    replace: 'if (true) complete(key, fence, job, head);',
    only: '9d',
  },
  {
    promise: 'nothing runs while the store is down',
    of: 'core',
    find: 'claim = store.claim(key, CLAIM_LEASE_MS); } catch (error) { return job.finish(unavailable(error));',
    replace: 'claim = store.claim(key, CLAIM_LEASE_MS); } catch (error) { return run(key, 0, job);',
    only: '23a',
  },
  // --- dead letters
  {
    promise: 'a replay starts anew: our headers are stripped',
    of: 'core',
    find: '[...foreignHeaders(message.headers), ...ours]',
    replace: '[...message.headers, ...ours]',
    only: '6d',
  },
  {
    promise: 'a replay goes to the failing group alone',
    of: 'core',
    find: "{ kind: 'group', channel: name, group, delayMs }",
    replace: "{ kind: 'channel', channel: name }",
    only: '6d',
  },
  {
    promise: 'a foreign message keeps the id that it was given',
    of: 'core',
    find: 'if (id !== undefined) ours.push([HEADER.id, id]);',
    replace: '',
    only: '6b',
  },
  {
    promise: 'what the schema refuses never reaches the handler',
    of: 'core',
    find: 'if (!result.issues) return { ok: true',
    replace: 'if (true) return { ok: true',
    only: '7a',
  },
  {
    promise: 'while a registry is away nothing is judged',
    of: 'core',
    find: 'PolybusError.is(error) && error.retryable ?',
    replace: 'false ?',
    only: '7d',
  },
  {
    promise: 'old data goes through the upcaster',
    of: 'core',
    find: 'if (from < version) value = upcasted(',
    replace: 'if (false) value = upcasted(',
    only: '7f',
  },
  // --- publishing
  {
    promise: 'a publish resolves only when the broker has confirmed it',
    of: 'core',
    find: 'results = await new Promise((resolve, reject) => {',
    replace:
      'for (const entry of batch) { finish(entry); entry.resolve({}); } results = await new Promise((resolve, reject) => {',
    only: '10d',
  },
  {
    promise: 'a bad value never leaves',
    of: 'core',
    find: "if (result.issues) throw new PolybusError('INVALID_MESSAGE'",
    replace: "if (false) throw new PolybusError('INVALID_MESSAGE'",
    only: '7c',
  },
  {
    promise: 'RetryAfter sets the delay',
    of: 'core',
    find: 'retryAfterMs(error) ?? backoffMs(rule, attempt)',
    replace: 'backoffMs(rule, attempt)',
    only: '5g',
  },
  {
    promise: 'uncertainty sticks',
    of: 'core',
    find: 'if (mayBeSent(error)) entry.uncertain = true;',
    replace: '',
    only: '18b',
  },
  {
    promise: 'a retried publish stays ahead of the later ones of its key',
    of: 'core',
    find: '(key.behind ??= createBacklog()).unshift(own);',
    replace: 'for (const entry of own) (key.behind ??= createBacklog()).push(entry);',
    only: '4b',
  },
  {
    promise: 'one batch of a key in flight',
    of: 'core',
    find: 'key.listed = false; key.blocked = true;',
    replace: 'key.listed = false;',
    only: '4b',
  },
  // --- faults
  {
    promise: 'a connection that was lost comes back by itself',
    of: 'core',
    find: 'recover().catch(',
    replace: 'Promise.resolve().catch(',
    only: '17b',
  },
  {
    promise: 'a stall is seen',
    of: 'core',
    find: 'if (backlog !== null && backlog > 0)',
    replace: 'if (false)',
    only: '26a',
  },
  {
    promise: 'a lane that moves gives back all before the next of a key starts',
    of: 'core',
    find: 'for (const flight of unstarted) outcomes.giveBack(flight);',
    replace: 'for (const flight of unstarted) { outcomes.giveBack(flight); scheduler.leaveKey(flight); }',
    only: '4j',
  },
  {
    promise: 'what is lost together starts nothing of its keys',
    of: 'core',
    find: "const gone = list.map((flight) => apply(flight, 'lose'));",
    replace:
      "const gone = list.map((flight, index) => { if (apply(flight, 'lose')) options.onLost(flight, before[index], reason); return false; });",
    only: '4h,4i',
  },
  // --- the memory adapter
  {
    promise: 'a source is settled only when the copy of a move is confirmed',
    of: 'memory',
    find: 'if (written?.ok) finish(handed, prefix); results.push(written?.ok === false ? written : OK);',
    replace: 'finish(handed, prefix); results.push(OK);',
    only: 'd19,22a',
  },
  {
    promise: 'a delay is kept',
    of: 'memory',
    find: 'const dueAt = delayMs > 0 ? Math.ceil(stamp.now + delayMs) : 0;',
    replace: 'const dueAt = 0;',
    only: '5d',
  },
  {
    promise: "a lease that ran out is somebody else's",
    of: 'memory',
    find: 'if (due.length > 0) expired(due);',
    replace: '',
    only: '9c',
  },
  {
    promise: 'a key has one lane',
    of: 'memory',
    find: 'key === undefined ? channel.turn++',
    replace: 'true ? channel.turn++',
    only: '4f,20b,d17,2d',
  },
  {
    promise: 'behind a refused entry nothing of its key is written',
    of: 'memory',
    find: 'if (failed && key !== undefined && failed.has(orderOf(outgoing.to, key)))',
    replace: 'if (false)',
    only: 'd18,4b',
  },
  {
    promise: 'stats know what is in flight',
    of: 'memory',
    find: 'inFlight += lane.inFlight;',
    replace: '',
    only: '16b',
  },
  {
    promise: 'a bus that is idle notices that its connection is gone',
    of: 'core',
    find: 'else broken(error, next);',
    replace: 'else ;',
    only: '17f',
  },

  // --- transactions
  {
    promise: 'what a failed attempt published is never seen',
    of: 'core',
    find: 'this.#shared.publishFrom(this.message, this.#outputs)',
    replace: 'this.#shared.publishFrom(this.message, undefined)',
    only: '28a,28b',
  },
  {
    promise: 'what an attempt published goes with its settlement',
    of: 'core',
    find: "if (outputs && !error && result.kind === 'done')",
    replace: 'if (false)',
    only: '28a',
  },
]
