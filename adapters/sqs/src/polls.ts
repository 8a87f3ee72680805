// Receives on their way. A long poll that is aborted takes its message along for a whole lease, so none ever is: what it
// brings waits here for the next receive, or for the close.
import { type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import type { PolybusError } from '@polybus/core'
import { MOST } from './chunks.ts'
import { CONNECTION, type Link } from './connection.ts'
import { failed } from './errors.ts'

export interface Polls {
  /** How many may come with those that are on their way. */
  readonly asked: number
  readonly underWay: number
  /** Asks for so many at most: one long poll, or many short ones while there is plenty. */
  start(room: number): void
  /** True where the last thing SQS said, since `quiet` was reset, is that there is nothing. */
  quiet: boolean
  /** Why there will be no more. */
  readonly broken: PolybusError | undefined
  /** Resolves when all have ended. */
  ended(): Promise<void>
}

export interface PollsOptions {
  readonly link: Link
  readonly queueUrl: string
  readonly what: string
  readonly fifo: boolean
  /** `askedAt`: when the request left, for the lease may count from then. */
  readonly arrived: (messages: readonly Message[], askedAt: number) => void
  /** One has ended, whatever it brought. */
  readonly changed: () => void
}

/** Short polls at once. */
const SIDE_BY_SIDE = 8
/** A poll that is late by so much is not waited for, and another one begins: ElasticMQ never answers one whose queue was deleted. */
const OVERDUE_MS = 1000
/** Where polls don't wait at the queue, the next one after an empty one waits here. */
const IDLE_MS = 250
/** After a failure the next poll waits so long. */
export const AGAIN_MS = 200
/** Polls may fail for so long, counted from the first one's sending, before the feed is broken. */
const BLIP_MS = 2000
/** The same where SQS answers, but cannot now. */
const BUSY_MS = 10_000
const NEVER = new AbortController().signal

export function createPolls(options: PollsOptions): Polls {
  const { link, queueUrl, what, fifo, arrived, changed } = options
  const { visibilityMs, waitMs } = link.settings
  const running = new Set<Promise<void>>()
  /** With those that are overdue. */
  const unanswered = new Set<Promise<void>>()
  let asked = 0
  let plenty = false
  let broken: PolybusError | undefined
  let failingSince: number | undefined
  let pausedUntil = 0
  let youngestAnswered = -Infinity

  const begin = (count: number, long: boolean): void => {
    const seconds = long ? waitMs / 1000 : 0
    asked += count
    const askedAt = link.clock.now()
    const leave = (): void => {
      overdue.cancel()
      if (running.delete(poll)) asked -= count
      changed()
    }
    const overdue = link.clock.timer(seconds * 1000 + OVERDUE_MS, leave)
    const poll = link
      .ask(
        'poll',
        (client, abortSignal) =>
          client.send(
            new ReceiveMessageCommand({
              QueueUrl: queueUrl,
              MaxNumberOfMessages: count,
              WaitTimeSeconds: seconds,
              VisibilityTimeout: visibilityMs / 1000,
              MessageAttributeNames: ['All'],
              MessageSystemAttributeNames: ['All'],
            }),
            { abortSignal },
          ),
        { signal: NEVER },
        { waitMs: seconds * 1000, situation: { what } },
      )
      .then(
        ({ Messages = [] }) => {
          failingSince = undefined
          youngestAnswered = Math.max(youngestAnswered, askedAt)
          if (Messages.length === count) plenty = true
          else if (Messages.length === 0) {
            // A short poll asks some of SQS's servers, a long one all.
            plenty = false
            if (long) polls.quiet = true
            if (long && waitMs === 0) pause(IDLE_MS)
          }
          if (Messages.length > 0) arrived(Messages, askedAt)
        },
        (error: unknown) => fail(failed(error), askedAt),
      )
      .then(() => {
        unanswered.delete(poll)
        leave()
      })
    running.add(poll)
    unanswered.add(poll)
  }
  /** A poll is not the feed: what is held stays ours, so a reset socket or an error of the server's is no reason to lose it. */
  const fail = (error: PolybusError, askedAt: number): void => {
    if (askedAt < youngestAnswered) return
    failingSince ??= askedAt
    const now = link.clock.now()
    const patienceMs =
      error.code === 'BROKER_BUSY' ? BUSY_MS : error.retryable && CONNECTION.has(error.code) ? BLIP_MS : 0
    if (now - failingSince >= patienceMs) broken ??= error
    else pause(AGAIN_MS)
  }
  const pause = (ms: number): void => {
    pausedUntil = link.clock.now() + ms
    link.clock.timer(ms, changed)
  }
  /** One poll may bring ten of one key, which are handled one by one: of what room there is it gets a quarter. */
  const share = (room: number): number => Math.min(MOST, fifo ? Math.min(room, Math.max(4, Math.ceil(room / 4))) : room)

  const polls: Polls = {
    get asked() {
      return asked
    },
    get underWay() {
      return running.size
    },
    quiet: false,
    get broken() {
      return broken
    },
    start(room) {
      if (link.clock.now() < pausedUntil) return
      let left = room - asked
      if (!plenty) {
        if (running.size === 0 && left > 0) begin(share(left), true)
        return
      }
      while (left > 0 && running.size < SIDE_BY_SIDE) {
        const count = share(left)
        begin(count, false)
        left -= count
      }
    },
    async ended() {
      await Promise.all(unanswered)
    },
  }
  return polls
}
