import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Case } from '../src/case.ts'
import { type Faults, type Harness, loadHarness, memoryHarness, outgoing, runCases, wireMessage } from '../src/index.ts'
import { runCase } from '../src/run.ts'
import { derive } from '../src/tap.ts'

const lonely = new URL('./lonely-harness.ts', import.meta.url)

test(
  'a publisher in a real process is killed, and a broker that lost what it confirmed is found out',
  { timeout: 60_000 },
  async () => {
    const [result] = await runCases(await loadHarness(lonely), { only: ['21b'] })
    expect(result).toMatchObject({
      id: '21b',
      outcome: 'failed',
      reason: expect.stringMatching(/Waited .* to handle all; open: \d+ of \d+/),
    })
  },
)

test('what does not apply is left out with its reason: a capability, or a fault that the harness lacks', async () => {
  const results = await runCases(await loadHarness(lonely), { only: ['17a', '25a', '1a'] })
  expect(results).toMatchObject([
    { id: '1a', outcome: 'passed', reason: undefined },
    { id: '17a', outcome: 'skipped', reason: 'the harness has no fault down, up' },
    { id: '25a', outcome: 'skipped', reason: 'the adapter declares no credentials' },
  ])
})

test('memory: SIGKILL and credentials are left out because of what it declares', async () => {
  const results = await runCases(await loadHarness(memoryHarness), { only: ['13f', '20c', '21b', '25'] })
  expect(results.map(({ id, reason }) => [id, reason])).toEqual([
    ['13f', 'the adapter declares no processes'],
    ['20c', 'the adapter declares no processes'],
    ['21b', 'the adapter declares no processes'],
    ['25a', 'the adapter declares no credentials'],
  ])
})

test('a case that does not exist and a module that is no harness are errors', async () => {
  await expect(runCases(await loadHarness(memoryHarness), { only: ['99'] })).rejects.toThrow(/No case 99\. Cases: d1 /)
  await expect(
    loadHarness(new URL('./run.test.ts', import.meta.url).href.replace('run.test', 'nothing')),
  ).rejects.toThrow('nothing.ts')
  await expect(loadHarness('node:path')).rejects.toThrow(/no harness: it must export a text `name`/)
})

test('a server that a failed case left dead is started again after it', async () => {
  const harness = await loadHarness(memoryHarness)
  const calls: string[] = []
  const faults = (namespace: string): Faults => ({
    ...harness.faults?.(namespace),
    kill() {
      calls.push('kill')
      throw new Error('it does not die')
    },
    restart: () => void calls.push('restart'),
  })
  const [result] = await runCases({ ...harness, faults }, { only: ['17e'] })
  expect(result).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('it does not die') })
  expect(calls).toEqual(['kill', 'restart'])
})

test('a harness is asked to prepare each namespace before it opens an adapter, and to clean it up', async () => {
  const harness = await loadHarness(memoryHarness)
  const calls: string[] = []
  const [result] = await runCases(
    {
      ...harness,
      prepare: (namespace) => void calls.push(`prepare ${namespace}`),
      open(namespace, options) {
        if (calls.length === 1) calls.push(`open ${namespace}`)
        return harness.open(namespace, options)
      },
      cleanup: (namespace) => void calls.push(`cleanup ${namespace}`),
    },
    { only: ['2a'] },
  )
  expect(result?.outcome).toBe('passed')
  expect(calls.map((text) => text.split(' ')[0])).toEqual(['prepare', 'open', 'cleanup'])
  expect(new Set(calls.map((text) => text.split(' ')[1])).size).toBe(1)
})

test('what a case leaves behind is found out and named, unless it may be the second copy of an uncertain send', async () => {
  const harness = await loadHarness(memoryHarness)
  let unanswered = 0
  const open: Harness['open'] = (...options) => {
    const adapter = harness.open(...options)
    return derive(adapter, {
      async send(batch, call) {
        const results = await adapter.send(batch, call)
        const error = new PolybusError('CONNECTION_FAILED', 'The answer was lost.', { sent: 'unknown' })
        return unanswered-- > 0 ? results.map(() => ({ ok: false, error })) : results
      },
    })
  }
  const untidy: Case = {
    id: '1z',
    title: 'leaves a copy of what was handled',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      await bus.close()
      const adapter = await env.connect(env.open())
      const copy = wireMessage({ id: item.id, body: Buffer.from(JSON.stringify(item)) })
      await adapter.send([outgoing(copy, { kind: 'channel', channel: flow.name })], env.call)
    },
  }
  const run = () => runCase({ ...harness, open, timing: { leaseMs: 100, patienceMs: 200 } }, untidy)
  expect(await run()).toMatchObject({
    outcome: 'failed',
    reason: expect.stringMatching(/nothing to be left unsettled of .*"backlog":1.*a consumer gets: \[\{"id":"m-1-/),
  })
  unanswered = 1
  expect(await run()).toMatchObject({ outcome: 'passed' })
}, 30_000)
