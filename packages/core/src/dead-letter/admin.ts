// List, replay, edit and discard, the same on every broker that lets one look.
import type { Adapter, BrowseSession, Capabilities, RawDeadLetter } from '../adapter.ts'
import type { Acted, ActOptions, DeadLetters, Logger, Selection } from '../api.ts'
import type { ChannelDefinition } from '../channel.ts'
import { type Clock, sleep } from '../clock.ts'
import { createDecode } from '../consume/decode.ts'
import { LADDER_MS } from '../consume/delay.ts'
import { readProgress } from '../consume/progress.ts'
import { describeError, PolybusError } from '../errors.ts'
import type { MaybePromise, Parking } from '../idempotency.ts'
import type { WireMessage } from '../message.ts'
import { checkKeys, invalid, optionalChoice, optionalFunction } from '../options.ts'
import type { Publisher } from '../publish/publisher.ts'
import type { Supervisor } from '../supervisor.ts'
import { createLines, refuseOtherKey } from './lines.ts'
import { matches, readLetter, type ReadLetter, replayed } from './letter.ts'
import { show } from '../duration.ts'

export interface AdminOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly publisher: Publisher
  readonly ask: Supervisor['ask']
  readonly ensure: (channel: ChannelDefinition) => MaybePromise<Capabilities>
  readonly log: Logger
  /** Where the group's messages are parked, if that is known. */
  readonly parking: () => Parking | undefined
}

const PAGE = 100
const CALL_MS = 10_000
const ACT = ['signal', 'progress']
/** Letters that are written at one time. */
const AT_ONCE = 100
const SELECTION = ['ids', 'reason', 'errorName', 'key', 'since', 'until']

export function createAdmin(
  options: AdminOptions,
  channel: ChannelDefinition,
  group: string,
): DeadLetters<unknown, unknown> {
  const { adapter, clock, publisher, log } = options
  const { name } = channel.spec
  const decode = createDecode(channel)
  const never = new AbortController().signal

  /** A silent broker must not hang who looks. */
  const call = <T>(run: (signal: AbortSignal) => Promise<T>, signal: AbortSignal = never): Promise<T> =>
    options.ask(CALL_MS, run, { signal })
  const end = (session: BrowseSession): Promise<void> => call(() => session.close())
  const open = async (signal: AbortSignal): Promise<BrowseSession> => {
    const capabilities = await options.ensure(channel)
    if (!adapter.browse || capabilities.browse === 'none')
      throw new PolybusError(
        'UNSUPPORTED',
        `${adapter.name} cannot show the dead letters of '${name}/${group}'. Nearest: the broker's own tools.`,
      )
    const { browse } = adapter
    return options.ask(CALL_MS, (limit) => browse.open(channel.spec, group, { signal: limit }), { again: true, signal })
  }
  const check = (selection: Selection, where: string): void => {
    checkKeys(selection, SELECTION, where)
    if ('ids' in selection && !Array.isArray(selection.ids))
      throw invalid(`${where}.ids`, `expected an array of ids, got ${show(selection.ids)}.`)
    for (const field of ['since', 'until'] as const) {
      const value = (selection as { since?: unknown; until?: unknown })[field]
      if (value !== undefined && !(value instanceof Date && !Number.isNaN(value.getTime())))
        throw invalid(`${where}.${field}`, `expected a valid Date, got ${show(value)}.`)
    }
  }

  const checkAct = (given: ActOptions, where: string, known: readonly string[] = ACT): AbortSignal => {
    checkKeys(given, known, where)
    optionalFunction(given.progress, `${where}.progress`)
    const { signal = never } = given
    if (!(signal instanceof AbortSignal))
      throw invalid(`${where}.signal`, `expected an AbortSignal, got ${show(signal)}.`)
    return signal
  }

  async function* walk(
    session: BrowseSession,
    selection: Selection,
    signal: AbortSignal,
  ): AsyncGenerator<ReadLetter & { raw: RawDeadLetter }> {
    for (;;) {
      const page = await call((limit) => session.next(PAGE, { signal: limit }), signal)
      if (page.length === 0) return
      for (const raw of page) {
        refuseAborted(signal)
        const read = await readLetter(raw, decode)
        if (matches(read.letter, selection)) yield { raw, ...read }
      }
    }
  }

  /** Does something with each letter that is selected now, and then takes it off: so many at once, at most. */
  const each = async (
    selection: Selection,
    { progress }: ActOptions,
    signal: AbortSignal,
    act: (raw: RawDeadLetter, read: ReadLetter) => Promise<void>,
    { atOnce, comesBack }: { readonly atOnce: number; readonly comesBack: boolean },
  ): Promise<Acted> => {
    const session = await open(signal)
    let done = 0
    let failed = 0
    let acted: RawDeadLetter[] = []
    const fail = (id: string | undefined, error: unknown): void => {
      failed++
      log.warn({ channel: name, group, id, err: describeError(error) }, 'a dead letter was left where it is')
    }
    const takeOff = async (): Promise<void> => {
      const letters = acted
      acted = []
      const positions = letters.map(({ position }) => position)
      try {
        const results = await call((limit) => session.remove(positions, { signal: limit }))
        for (const [index, result] of results.entries()) {
          if (result.ok) done++
          else fail(letters[index]?.message.id, result.error)
        }
      } catch (error) {
        for (const { message } of letters) fail(message.id, error)
      }
      progress?.({ done, failed })
    }
    const seen = new Set<string>()
    /** What was sent, as it looks when it comes back while we are at it: that is left for the next time. */
    const sent = new Set<string>()
    const looks = ({ letter }: ReadLetter, replays: number): string =>
      JSON.stringify([letter.message.source, letter.id, replays])
    try {
      for await (const { raw, ...read } of walk(session, selection, signal)) {
        const { letter } = read
        const { replays } = readProgress(raw.message)
        if (sent.has(looks(read, replays))) continue
        seen.add(letter.id)
        try {
          await act(raw, read)
          if (comesBack) sent.add(looks(read, replays + 1))
          acted.push(raw)
        } catch (error) {
          if (PolybusError.is(error, 'ABORTED') && signal.aborted) throw error
          // No letter of this kind could be treated so.
          if (PolybusError.is(error, 'UNSUPPORTED')) throw error
          fail(letter.id, error)
          progress?.({ done, failed })
        }
        if (acted.length >= atOnce) await takeOff()
      }
    } finally {
      // What was done to a letter stands, whatever ended it.
      if (acted.length > 0) await takeOff()
      await end(session)
    }
    if ('ids' in selection) failed += selection.ids.filter((id) => !seen.has(id)).length
    return { done, failed }
  }

  const toGroup = async (message: WireMessage, delayMs = 0): Promise<void> => {
    await options.ensure(channel)
    await publisher.send(message, { kind: 'group', channel: name, group, delayMs })
  }
  const lines = createLines({ channel: name, group, parking: options.parking, send: (message) => toGroup(message) })

  /** Several at a time, in their order as far as the broker keeps it. */
  const putBack = async (
    letters: Iterable<WireMessage> | AsyncIterable<WireMessage>,
    { progress }: ActOptions,
    signal: AbortSignal,
  ): Promise<Acted> => {
    await options.ensure(channel)
    let done = 0
    let failed = 0
    const put = async (message: WireMessage): Promise<void> => {
      try {
        checkTime(message)
        await publisher.send(message, { kind: 'dead-letter', channel: name, group })
        done++
      } catch (error) {
        failed++
        log.warn({ channel: name, group, id: message.id, err: describeError(error) }, 'a dead letter was not restored')
      }
      progress?.({ done, failed })
    }
    const underWay = new Set<Promise<void>>()
    try {
      for await (const message of letters) {
        refuseAborted(signal)
        const one = put(message).finally(() => underWay.delete(one))
        underWay.add(one)
        if (underWay.size >= AT_ONCE) await Promise.race(underWay)
      }
    } finally {
      await Promise.all(underWay)
    }
    return { done, failed }
  }

  return {
    async *list(selection = {}, given = {}) {
      check(selection, 'list()')
      const signal = checkAct(given, 'list()', ['signal'])
      const session = await open(signal)
      try {
        for await (const { letter, unread } of walk(session, selection, signal)) {
          if (unread) throw unread
          yield letter
        }
      } finally {
        await end(session)
      }
    },
    async replay(selection, given = {}) {
      check(selection, 'replay()')
      const signal = checkAct(given, 'replay()', [...ACT, 'edit', 'perSecond'])
      const { edit, perSecond } = given
      optionalFunction(edit, 'replay().edit')
      if (perSecond !== undefined && !(perSecond > 0))
        throw invalid('replay().perSecond', `expected a number above 0, got ${show(perSecond)}.`)
      const { delay } = await options.ensure(channel)
      const delayMs = delay.kind === 'ladder' ? (LADDER_MS.at(-1) as number) : 0
      let next = clock.now()
      return each(
        selection,
        given,
        signal,
        async (raw, { letter, unread }) => {
          if (perSecond !== undefined) {
            await sleep(clock, next - clock.now(), signal)
            refuseAborted(signal)
            next = Math.max(next, clock.now()) + 1000 / perSecond
          }
          let message = replayed(raw.message)
          if (edit) {
            if (unread) throw unread
            const value = await edit(letter.value, letter)
            const type = channel.type(value)
            message = {
              ...message,
              body: await publisher.encode(channel, value, type),
              type,
              dataSchema: channel.dataSchema,
              key: channel.key ? channel.key(value) : message.key,
              contentType: channel.codec.contentType,
            }
            refuseOtherKey(raw.message, message)
          }
          // Not with the signal: a copy that may or may not be there could not be taken off.
          await toGroup(message, delayMs)
        },
        { atOnce: 1, comesBack: true },
      )
    },
    async discard(selection, given = {}) {
      check(selection, 'discard()')
      return each(selection, given, checkAct(given, 'discard()'), ({ message }) => lines.pass(message), {
        atOnce: PAGE,
        comesBack: false,
      })
    },
    parked: (given = {}) => lines.list(checkAct(given, 'parked()', ['signal'])),
    async unpark(key, given) {
      checkKeys(given, ['head'], 'unpark()')
      const head = optionalChoice(given.head, 'unpark().head', ['replay', 'discard'])
      if (typeof key !== 'string' || head === undefined)
        throw invalid('unpark()', "expected a key and { head: 'replay' | 'discard' }.")
      return lines.unpark(key, head)
    },
    restore: async (letters, given = {}) => putBack(letters, given, checkAct(given, 'restore()')),
  }
}

/** The last moment that a Date can have. */
const LAST_MS = 8.64e15
function checkTime({ time }: WireMessage): void {
  if (time !== undefined && !(Math.abs(time) <= LAST_MS))
    throw invalid('restore().message.time', `expected milliseconds since 1970, got ${show(time)}.`)
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new PolybusError('ABORTED', undefined, { cause: signal.reason })
}
