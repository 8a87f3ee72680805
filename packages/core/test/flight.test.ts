import { expect, test } from 'vitest'
import {
  abortFlight,
  createFlight,
  type FlightEvent,
  type FlightState,
  onEnded,
  signalOf,
  transition,
} from '../src/consume/flight.ts'
import { FRESH } from '../src/consume/progress.ts'
import { delivery } from './fake.ts'

const states: FlightState[] = ['queued', 'running', 'waiting', 'settling', 'gone', 'lost']
const events: FlightEvent[] = ['start', 'wait', 'requeue', 'settle', 'settled', 'unsettled', 'lose']
// One row a state, one column an event; a dot: it comes too late and means nothing.
const TABLE = `
  running waiting .      settling .    .       lost
  .       waiting .      settling .    .       lost
  .       .       queued settling .    .       lost
  .       .       .      .        gone waiting lost
  .       .       .      .        .    .       .
  .       .       .      .        .    .       .
`
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/))

for (const [row, state] of states.entries())
  test(`a flight that is ${state}`, () => {
    const next = events.map((event) => transition(state, event) ?? '.')
    expect(next).toEqual(TABLE[row])
  })

const flight = () =>
  createFlight({ apply: () => true, wait: () => {}, finish: () => {} }, delivery(), undefined, 1, FRESH)

test('the signal knows of an abort before anybody looked, and keeps its first reason', () => {
  const one = flight()
  abortFlight(one, 'first')
  abortFlight(one, 'second')
  expect(signalOf(one).aborted).toBe(true)
  expect(signalOf(one).reason).toBe('first')
  const two = flight()
  const signal = signalOf(two)
  expect(signal.aborted).toBe(false)
  abortFlight(two, 'now')
  expect(signal.reason).toBe('now')
})

test('whoever asks for the end is told, in the order of asking', () => {
  const one = flight()
  const told: string[] = []
  onEnded(one, (how) => told.push(`a ${how}`))
  onEnded(one, (how) => told.push(`b ${how}`))
  one.ended?.('lost')
  expect(told).toEqual(['a lost', 'b lost'])
})
