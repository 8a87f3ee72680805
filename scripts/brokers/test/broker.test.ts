// Instances of real servers. Redis stands for all: it starts in 40 ms.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { describeBroker, startBroker } from '@polybus/brokers'
import { afterAll, describe, expect, test } from 'vitest'
import { logsFolder, placeOf, readState, writeState } from '../src/cache.ts'
import { scoped } from '../src/current-run.ts'
import { refOf, stateOf } from '../src/processes.ts'
import { runFixture, spawnFixture } from './child.ts'
import { ask } from './resp.ts'

const children: ChildProcess[] = []
const servers: Server[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const server of servers) server.close()
})

const listen = (port: number): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer().listen({ host: '127.0.0.1', port }, () => resolve(server))
    servers.push(server)
  })

await describeBroker('redis', () => {
  describe('an instance', () => {
    test('redis: keeps port and data over a kill and a stop', async () => {
      const redis = await startBroker('redis', { instance: 'keeps' })
      const { port, pid } = redis
      expect(redis.url).toBe(`redis://127.0.0.1:${port}`)
      expect(await ask(port, 'SET kept yes')).toBe('+OK')

      await redis.kill()
      await expect(ask(port, 'GET kept')).rejects.toThrow('ECONNREFUSED')
      await redis.start()
      expect(await ask(port, 'GET kept')).toBe('$3 yes')
      expect(redis.pid).not.toBe(pid)

      await redis.stop()
      await expect(ask(port, 'GET kept')).rejects.toThrow('ECONNREFUSED')
      await redis.start()
      expect(await ask(port, 'GET kept')).toBe('$3 yes')
    })

    test('redis: is set so that what it confirms survives', async () => {
      const { port } = await startBroker('redis', { instance: 'keeps' })
      for (const [setting, value] of [
        ['appendonly', 'yes'],
        ['appendfsync', 'always'],
        ['maxmemory-policy', 'noeviction'],
        ['bind', '127.0.0.1'],
      ])
        expect(await ask(port, `CONFIG GET ${setting}`)).toMatch(new RegExp(` ${value}$`))
    })

    test('redis: paused it neither answers nor closes, and goes on where it was', async () => {
      const redis = await startBroker('redis', { instance: 'pauses' })
      redis.pause()
      await expect(ask(redis.port, 'PING', 300)).rejects.toThrow('No answer')
      redis.resume()
      expect(await ask(redis.port, 'PING')).toBe('+PONG')
    })

    test('redis: started twice at once, also by four processes, is one', async () => {
      const here = [1, 2].map(() => startBroker('redis', { instance: 'at-once' }))
      const elsewhere = [1, 2, 3, 4].map(() => runFixture('start.ts', ['redis', 'at-once']))
      const pids = [
        ...(await Promise.all(here)).map(({ pid }) => pid),
        ...(await Promise.all(elsewhere)).map(({ out }) => (JSON.parse(out) as { pid: number }).pid),
      ]
      expect(new Set(pids).size).toBe(1)
      expect(pids).toHaveLength(6)
    })

    test('redis: what one process took down on purpose another one leaves down', async () => {
      const redis = await startBroker('redis', { instance: 'held' })
      await redis.kill()
      const { out, err } = await runFixture('start.ts', ['redis', 'held'])
      expect(err).toBe('')
      expect(JSON.parse(out)).toEqual({ port: redis.port })
      await expect(ask(redis.port, 'PING')).rejects.toThrow('ECONNREFUSED')

      const again = await startBroker('redis', { instance: 'held' })
      expect(again.port).toBe(redis.port)
      expect(await ask(redis.port, 'PING')).toBe('+PONG')
    })

    test('redis: two instances meet neither in port nor in data', async () => {
      const [one, two] = await Promise.all(
        ['one', 'two'].map((instance) => startBroker('redis', { instance: `apart-${instance}` })),
      )
      expect(one!.port).not.toBe(two!.port)
      await ask(one!.port, 'SET mine 1')
      expect(await ask(two!.port, 'GET mine')).toBe('$-1')
    })

    test('redis: removed it leaves its log, and nothing else', async () => {
      const redis = await startBroker('redis', { instance: 'removed' })
      const { folder, instance } = placeOf('redis', scoped('removed'))
      expect(existsSync(folder)).toBe(true)
      await redis.remove()
      await expect(ask(redis.port, 'PING')).rejects.toThrow('ECONNREFUSED')
      expect(existsSync(folder)).toBe(false)
      expect(readFileSync(join(logsFolder(), `${instance}-redis`, 'output.log'), 'utf8')).toContain('Redis')
    })
  })

  describe('a port that somebody else took meanwhile', () => {
    test('redis: is named by start(), which promised that port', async () => {
      const redis = await startBroker('redis', { instance: 'taken' })
      await redis.stop()
      await listen(redis.port)
      await expect(redis.start()).rejects.toThrow(`port ${redis.port} (redis) is taken by another process`)
    })

    test('redis: is left by the next startBroker, with the data', async () => {
      const before = await startBroker('redis', { instance: 'moves' })
      await ask(before.port, 'SET kept yes')
      await before.stop()
      await listen(before.port)
      const after = await startBroker('redis', { instance: 'moves' })
      expect(after.port).not.toBe(before.port)
      expect(await ask(after.port, 'GET kept')).toBe('$3 yes')
    })
  })

  describe('what a crash leaves', () => {
    test('redis: a server that died by itself is started again', async () => {
      const redis = await startBroker('redis', { instance: 'died' })
      const { pid } = redis
      const ref = refOf(pid!)!
      process.kill(pid!, 'SIGKILL')
      await expect.poll(() => stateOf(ref)).toBe('gone')
      const again = await startBroker('redis', { instance: 'died' })
      expect(again.port).toBe(redis.port)
      expect(again.pid).not.toBe(pid)
      expect(await ask(again.port, 'PING')).toBe('+PONG')
    })

    test('redis: a pid that belongs to somebody else by now is left alone', async () => {
      const redis = await startBroker('redis', { instance: 'reused' })
      await redis.kill()
      const stranger = spawn('sleep', ['60'])
      children.push(stranger)
      const place = placeOf('redis', scoped('reused'))
      const { held: _, ...state } = readState(place)!
      writeState(place, { ...state, processes: { server: { pid: stranger.pid!, born: 'long ago' } } })

      const again = await startBroker('redis', { instance: 'reused' })
      expect(again.pid).not.toBe(stranger.pid)
      expect(await ask(again.port, 'PING')).toBe('+PONG')
      await again.remove()
      expect(stranger.exitCode).toBeNull()
      expect(refOf(stranger.pid!)).toBeDefined()
    })

    test('redis: a lock whose holder died is nobody`s', async () => {
      const { folder } = placeOf('redis', scoped('locked'))
      mkdirSync(join(folder, '..'), { recursive: true })
      writeFileSync(`${folder}.lock`, JSON.stringify({ pid: process.pid, born: 'long ago', token: 'x' }))
      const redis = await startBroker('redis', { instance: 'locked' })
      expect(await ask(redis.port, 'PING')).toBe('+PONG')
      expect(existsSync(`${folder}.lock`)).toBe(false)
    })

    test('redis: an empty state file is none', async () => {
      const place = placeOf('redis', scoped('empty'))
      mkdirSync(place.folder, { recursive: true })
      writeFileSync(join(place.folder, 'state.json'), '')
      const redis = await startBroker('redis', { instance: 'empty' })
      expect(await ask(redis.port, 'PING')).toBe('+PONG')
    })

    test('redis: a run whose owner is killed takes its instances along', async () => {
      const { POLYBUS_TEST_RUN: _, ...env } = process.env
      const owner = spawnFixture('own-run.ts', [], env)
      children.push(owner)
      const line = await new Promise<string>((resolve) => owner.stdout!.once('data', (bytes) => resolve(String(bytes))))
      const { run, pid } = JSON.parse(line) as { run: string; pid: number }
      const ref = refOf(pid)!
      const { folder } = placeOf('redis', `${run}-owned`)
      expect(existsSync(folder)).toBe(true)
      owner.kill('SIGKILL')
      await expect.poll(() => stateOf(ref), { timeout: 10_000 }).toBe('gone')
      await expect.poll(() => existsSync(folder), { timeout: 10_000 }).toBe(false)
    })
  })

  describe('a server that does not start', () => {
    test('redis: is reported with the last lines of its log, and leaves no process', async () => {
      const redis = await startBroker('redis', { instance: 'broken' })
      await redis.stop()
      const { data } = placeOf('redis', scoped('broken'))
      rmSync(data, { recursive: true })
      // A file where it wants a folder.
      writeFileSync(data, '')
      await expect(startBroker('redis', { instance: 'broken' })).rejects.toThrow('data')
      rmSync(data)
      mkdirSync(join(data, 'appendonlydir'), { recursive: true })
      writeFileSync(join(data, 'appendonlydir', 'appendonly.aof.manifest'), 'nonsense\n')
      await expect(startBroker('redis', { instance: 'broken' })).rejects.toThrow(
        /^Redis did not start: redis-server ended with code 1\.\nThe last lines of .*output\.log:\n[^]*manifest/,
      )
      expect(readState(placeOf('redis', scoped('broken')))!.processes).toEqual({})
    })

    test('redis: is given up when the caller gives up', async () => {
      const stop = AbortSignal.abort(new Error('no longer wanted'))
      await expect(startBroker('redis', { instance: 'aborted', signal: stop })).rejects.toThrow('no longer wanted')
    })
  })

  test('an instance`s name that leads out of its folder is refused', async () => {
    await expect(startBroker('redis', { instance: '../elsewhere' })).rejects.toThrow('no name for an instance')
  })
})

await describeBroker('rabbitmq', () => {
  test(
    'rabbitmq: killed and started again it has its port, and no name server of before',
    { timeout: 60_000 },
    async () => {
      const rabbit = await startBroker('rabbitmq', { instance: 'tests' })
      const { port, pid } = rabbit
      expect(rabbit.url).toBe(`amqp://guest:guest@127.0.0.1:${port}`)
      const place = placeOf('rabbitmq', scoped('tests'))
      const before = Object.values(readState(place)!.processes)
      expect(before.map(stateOf)).toEqual(before.map(() => 'running'))
      await rabbit.kill()
      expect(before.map(stateOf)).toEqual(before.map(() => 'gone'))
      await rabbit.start()
      expect(rabbit.port).toBe(port)
      expect(rabbit.pid).not.toBe(pid)
      await rabbit.stop()
      expect(readState(place)!.processes).toEqual({})
    },
  )
})
