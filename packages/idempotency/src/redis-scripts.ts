// What the Redis store asks of the server. Every answer rests on the keys of one record and on the server's own time.
import { createHash } from 'node:crypto'

export interface Script {
  readonly text: string
  /** What EVALSHA takes. */
  readonly sha: string
}

const script = (text: string): Script => ({ text, sha: createHash('sha1').update(text).digest('hex') })

/**
 * Runs what stands in a table `doing` for any number of records, each with its own keys and arguments, the first of which names
 * it: what comes together costs one command. None looks at another's keys, so that in a cluster each may go by itself, and
 * where one is refused the others are done.
 */
const each = (keyCount: number, argCount: number, before = 0): string => `
local answers = {}
for i = 0, #KEYS / ${keyCount} - 1 do
  local k, a = i * ${keyCount}, i * ${argCount} + ${before + 1}
  local ok, answer = pcall(doing[ARGV[a]], ${[
    ...Array.from({ length: keyCount }, (_, index) => `KEYS[k + ${index + 1}]`),
    ...Array.from({ length: argCount - 1 }, (_, index) => `ARGV[a + ${index + 1}]`),
  ].join(', ')})
  if not ok and type(answer) ~= 'table' then answer = { err = tostring(answer) } end
  answers[i + 1] = answer
end
return answers`

/** Answers to a claim; of the others 1 is yes and 0 is no. */
export const CLAIMED = 0
export const HANDLED = 1
const BUSY = 2

/**
 * A value is `d` (handled), or a state, the end of its lease in 13 digits, and its fence: `c` is a claim, `f` one that was
 * forgotten while it ran. It outlives its lease, because until somebody takes it over its owner may still complete it. A fence
 * is `<family>.<serial>`: a claim takes over an earlier one of its family, whose answer never came, and of the families of the
 * fences that it names.
 *
 * ARGV how long a handled one is kept. Of a record: its key; what to do, its fence, its lease, other fences with spaces between
 * them. Both times in ms.
 */
export const CLAIMS: Script = script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = ARGV[1]
local function hold(key, state, lease, fence)
  redis.call('SET', key, state .. string.format('%013.0f', now + lease) .. fence, 'PX', lease + keep)
end
local function earlier(owner, fence)
  local family, serial = string.match(fence, '^(.*)%.(%d+)$')
  local its, before = string.match(owner, '^(.*)%.(%d+)$')
  return family == its and tonumber(before) <= tonumber(serial)
end
local function theirs(owner, fences)
  for fence in string.gmatch(fences, '%S+') do
    if earlier(owner, fence) then return true end
  end
end
-- As GET, but one that counts as a write: what ends or keeps up a claim is not refused where memory is full.
local function own(key, fence)
  local held = redis.call('GETEX', key)
  return held and string.sub(held, 15) == fence and string.sub(held, 1, 1)
end
local doing = {}
function doing.claim(key, fence, lease, others)
  local held = redis.call('GET', key)
  if held == 'd' then return ${HANDLED} end
  if held then
    local ends = tonumber(string.sub(held, 2, 14))
    if not ends then error({ err = 'ERR a key of the store holds something else' }) end
    local owner = string.sub(held, 15)
    if ends > now and not earlier(owner, fence) and not theirs(owner, others) then return ${BUSY} end
  end
  hold(key, 'c', lease, fence)
  return ${CLAIMED}
end
function doing.complete(key, fence)
  local state = own(key, fence)
  if not state then return 0 end
  if state == 'f' then redis.call('DEL', key) else redis.call('SET', key, 'd', 'PX', keep) end
  return 1
end
function doing.release(key, fence)
  return own(key, fence) and redis.call('DEL', key) or 0
end
function doing.renew(key, fence, lease)
  local state = own(key, fence)
  if not state then return 0 end
  hold(key, state, lease, fence)
  return 1
end${each(1, 4, 1)}`)

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

/**
 * A line is a hash and, behind its head, a list of ids. Its fields: `h` id of the head, `s` its state, `t` its message, `i` what the
 * index knows it by, and for each id of the tail `m<id>`, its message.
 *
 * Of a record: hash and list; what to do, id, message, mark in the index.
 */
export const LINES: Script = script(`
local doing = {}
local function park(line, tail, id, message)
  if redis.call('HSETNX', line, 'm' .. id, message) == 1 then redis.call('RPUSH', tail, id) end
  return 'parked'
end
function doing.enter(line, tail, id, message)
  local head = redis.call('HGET', line, 'h')
  if not head then return 'free' end
  return head == id and 'head' or park(line, tail, id, message)
end
function doing.block(line, tail, id, message, mark)
  local head = redis.call('HGET', line, 'h')
  if head and head ~= id then
    redis.call('HSET', line, 'i', mark)
    return park(line, tail, id, message)
  end
  redis.call('HSET', line, 'h', id, 's', 'dead', 't', message, 'i', mark)
  return 'head'
end
-- The head where that is due, and the mark of a line that is gone.
function doing.advance(line, tail, id)
  local head = redis.call('HMGET', line, 'h', 's', 't', 'i')
  if head[1] ~= id then return head[2] == 'due' and { head[1], head[3] } or {} end
  local next = redis.call('LPOP', tail)
  if not next then
    redis.call('DEL', line)
    return { false, false, head[4] }
  end
  local message = redis.call('HGET', line, 'm' .. next)
  redis.call('HDEL', line, 'm' .. next)
  redis.call('HSET', line, 'h', next, 's', 'due', 't', message)
  return { next, message }
end
function doing.sent(line, tail, id)
  -- Writes nothing, and lets the write below pass where memory is full.
  redis.call('HDEL', line, '')
  local head = redis.call('HMGET', line, 'h', 's')
  if head[1] == id and head[2] == 'due' then redis.call('HSET', line, 's', 'sent') end
  return 1
end
function doing.head(line)
  return redis.call('HMGET', line, 'h', 't', 's')
end
function doing.count(line, tail)
  local head = redis.call('HMGET', line, 'h', 's')
  return { head[1], head[2], redis.call('LLEN', tail) }
end${each(2, 4)}`)

/**
 * All lines in the order of their bytes. In a cluster it lies elsewhere than they do: a line is entered before it is made, and taken
 * out after it went unless somebody has entered it again meanwhile, which its mark tells.
 *
 * KEYS lines (all of score 0), marks. ARGV line, mark.
 */
export const INDEX: Script = script(`
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[1], 0, ARGV[1])`)
export const UNINDEX: Script = script(`
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])`)
/** KEYS lines. ARGV where to begin, what they begin with, how many. */
export const PAGE: Script = script(`
return redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '(' .. ARGV[2] .. '\\255', 'LIMIT', 0, ARGV[3])`)

/** A text as a part of SCAN's pattern that stands for itself. */
export const literally = (text: string): string => text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)
