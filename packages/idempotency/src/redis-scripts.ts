// What the Redis store asks of the server. Every answer rests on one key of it and on the server's own time.
import { createHash } from 'node:crypto'

export interface Script {
  readonly text: string
  /** What EVALSHA takes. */
  readonly sha: string
}

export const script = (text: string): Script => ({ text, sha: createHash('sha1').update(text).digest('hex') })

/** The server's time in ms. */
export const NOW: string = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** The answers of {@link CLAIMS} to a claim; to the others 1 is yes and 0 is no. */
export const CLAIMED = 0
export const HANDLED = 1

/**
 * Any number of keys, each with what is wanted of it: what comes together costs one command. None looks at another's key, so
 * that in a cluster each may go by itself.
 *
 * A value is `d` (handled), or a state, the end of its lease in 13 digits, and its fence: `c` is a claim, `f` one that was
 * forgotten while it ran. It outlives its lease, because until somebody takes it over its owner may still complete it. A fence
 * is `<family>.<serial>`: a claim takes over an earlier one of its family, whose answer never came.
 *
 * KEYS, of records. ARGV how long a handled one is kept, and for each key: what is wanted, its fence, its lease, both times in ms.
 */
export const CLAIMS: Script = script(`${NOW}
local keep = tonumber(ARGV[1])
local function hold(key, state, lease, fence)
  local stored = redis.pcall('SET', key, state .. string.format('%013.0f', now + lease) .. fence, 'PX', lease + keep)
  return stored.err and stored
end
local function earlier(owner, fence)
  local family, serial = string.match(fence, '^(.*)%.(%d+)$')
  local its, before = string.match(owner, '^(.*)%.(%d+)$')
  return family == its and tonumber(before) <= tonumber(serial)
end
local function claim(key, fence, lease)
  local held = redis.pcall('GET', key)
  if not held then return hold(key, 'c', lease, fence) or ${CLAIMED} end
  if held == 'd' then return ${HANDLED} end
  if type(held) == 'table' then return held end
  local ends = tonumber(string.sub(held, 2, 14))
  if not ends then return redis.error_reply('ERR a key holds something else than a claim') end
  if ends > now and not earlier(string.sub(held, 15), fence) then return 2 end
  return hold(key, 'c', lease, fence) or ${CLAIMED}
end
local function own(want, key, fence, lease)
  -- As GET, but one that counts as a write: what ends or keeps up a claim is not refused where memory is full.
  local held = redis.pcall('GETEX', key)
  if type(held) == 'table' then return held end
  if not held or string.sub(held, 15) ~= fence then return 0 end
  local state = string.sub(held, 1, 1)
  if want == 'renew' then return hold(key, state, lease, fence) or 1 end
  if want == 'complete' and state == 'c' then
    redis.call('SET', key, 'd', 'PX', keep)
  else
    redis.call('DEL', key)
  end
  return 1
end
local answers = {}
for i, key in ipairs(KEYS) do
  local want, fence, lease = ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  answers[i] = want == 'claim' and claim(key, fence, lease) or own(want, key, fence, lease)
end
return answers`)

/**
 * One step of a walk through all keys of a server: what was handled goes, and a claim that runs will not be recorded.
 *
 * ARGV cursor, pattern, how many keys to look at. Answers the next cursor.
 */
export const FORGET: Script = script(`
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3], 'TYPE', 'string')
for _, key in ipairs(page[2]) do
  local held = redis.call('GETEX', key)
  if held == 'd' then
    redis.call('DEL', key)
  elseif held and string.sub(held, 1, 1) == 'c' then
    redis.call('SET', key, 'f' .. string.sub(held, 2), 'KEEPTTL')
  end
end
return page[1]`)

/** A text as a part of SCAN's pattern that stands for itself. */
export const literally = (text: string): string => text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)
