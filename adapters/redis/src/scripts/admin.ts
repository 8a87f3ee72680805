import { EVEN_IF_FULL, INFO, TIME } from './time.ts'

/**
 * Records how a channel is laid out, and makes its streams, and one group where a name is given. What is there stays.
 *
 * Promises: of two that disagree on keys or partitions the first wins, and the other is told before anything is made.
 *
 * KEYS meta main… retry…. ARGV keyed partitions group start. Answers OK, or what is recorded.
 */
export const DECLARE: string = `${EVEN_IF_FULL}
local n, group = tonumber(ARGV[2]), ARGV[3]
local keyed, partitions = redis.call('HGET', KEYS[1], 'keyed'), redis.call('HGET', KEYS[1], 'partitions')
if (keyed and keyed ~= ARGV[1]) or (partitions and partitions ~= ARGV[2]) then return { keyed, partitions } end
evenIfFull(KEYS[1])
local function create(key, name, start)
  local made = redis.pcall('XGROUP', 'CREATE', key, name, start, 'MKSTREAM')
  if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
end
for i = 2, 1 + n do
  local failed
  if group ~= '' then
    failed = create(KEYS[i], group, ARGV[4])
  elseif redis.call('EXISTS', KEYS[i]) == 0 then
    failed = create(KEYS[i], 'polybus', '0')
    if not failed then redis.call('XGROUP', 'DESTROY', KEYS[i], 'polybus') end
  end
  if failed then return failed end
end
if group ~= '' then
  for i = 2 + n, 1 + 2 * n do
    local failed = create(KEYS[i], group, '0')
    if failed then return failed end
  end
  redis.call('HSET', KEYS[1], 'group:' .. group, '1')
end
redis.call('HSET', KEYS[1], 'format', '1', 'keyed', ARGV[1], 'partitions', ARGV[2])
return 'OK'`

/**
 * Trims one lane's streams and forgets consumers that hold nothing and were not heard of for long, a bounded number of
 * both. One member does it in a while, whoever comes first.
 *
 * Redis 7.0 forgets in a crash what groups have read since the file was last rewritten (not their places), so that their
 * lag is too high from then on: who is at the end of a stream is counted anew.
 *
 * Promises: nothing is cut that some group has not finished, nor that is younger than the retention; where a group that the
 * channel knows of is missing nothing is cut at all: it will be made again from the beginning.
 *
 * KEYS main retry meta. ARGV group me stamp every retention limit idle trim.
 */
export const TIDY: string = `${TIME}${INFO}${EVEN_IF_FULL}
local time, group = now(), ARGV[1]
if time - (redis.call('HGET', KEYS[3], ARGV[3]) or 0) < tonumber(ARGV[4]) then return 0 end
evenIfFull(KEYS[3])
redis.call('HSET', KEYS[3], ARGV[3], time)
local function less(a, b)
  local ams, aseq = string.match(a, '^(%d+)%-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)%-(%d+)$')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function unfinished(key, found)
  if found.pending > 0 then return redis.call('XPENDING', key, found.name)[2] end
  return found['last-delivered-id']
end
if ARGV[8] == '1' then
  local cut, seen = (time - ARGV[5]) .. '-0', {}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local found = info(flat)
    local first = unfinished(KEYS[1], found)
    seen['group:' .. found.name] = true
    if less(first, cut) then cut = first end
  end
  local complete = next(seen) ~= nil
  for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
    if string.sub(name, 1, 6) == 'group:' and not seen[name] then complete = false end
  end
  if complete then redis.call('XTRIM', KEYS[1], 'MINID', '~', cut, 'LIMIT', ARGV[6]) end
  local own = groupOf(KEYS[2], group)
  if own then redis.call('XTRIM', KEYS[2], 'MINID', '~', unfinished(KEYS[2], own), 'LIMIT', ARGV[6]) end
end
local function recount(key)
  local found = groupOf(key, group)
  if not found or (found.lag or 0) == 0 then return end
  local last = found['last-delivered-id']
  if #redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1) > 0 then return end
  redis.call('XGROUP', 'SETID', key, group, last, 'ENTRIESREAD', info(redis.call('XINFO', 'STREAM', key))['entries-added'])
end
local deleted = 0
for i = 1, 2 do
  recount(KEYS[i])
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[i], group)) do
    local found = info(flat)
    if deleted < 20 and found.pending == 0 and found.name ~= ARGV[2] and found.idle > tonumber(ARGV[7]) then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[i], group, found.name)
      deleted = deleted + 1
    end
  end
end
return deleted`

/**
 * A group's numbers, of one moment. `backlog` is what could be delivered now: unread, given back and due. -1: unknowable
 * (the server tells no lag, and there are more than ten thousand to count).
 *
 * KEYS due dead stream…. ARGV group nobody. Answers backlog, in flight, age of the oldest in ms, dead letters.
 */
export const STATS: string = `${TIME}${INFO}
local time, group = now(), ARGV[1]
local backlog, flying, oldest = redis.call('ZCOUNT', KEYS[1], '-inf', time), 0, time
local function see(id)
  if id then oldest = math.min(oldest, tonumber(string.match(id, '^%d+'))) end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then oldest = math.min(oldest, tonumber(first[2])) end
for i = 3, #KEYS do
  local found = groupOf(KEYS[i], group)
  if not found then return false end
  local after = '(' .. found['last-delivered-id']
  local unread = redis.call('XRANGE', KEYS[i], after, '+', 'COUNT', 1)[1]
  local lag = 0
  -- Not believed where it can be seen to be wrong: see recount in TIDY.
  if unread then lag = found.lag end
  if not lag then
    local from = after
    lag = 0
    repeat
      local page = redis.call('XRANGE', KEYS[i], from, '+', 'COUNT', 100)
      lag = lag + #page
      if #page > 0 then from = '(' .. page[#page][1] end
    until #page < 100 or lag > 10000
    if lag > 10000 then lag = nil end
  end
  local summary = redis.call('XPENDING', KEYS[i], group)
  local released = 0
  for _, consumer in ipairs(summary[4] or {}) do
    if consumer[1] == ARGV[2] then released = tonumber(consumer[2]) end
  end
  if backlog and lag then backlog = backlog + lag + released else backlog = nil end
  flying = flying + summary[1] - released
  see(summary[2])
  see(unread and unread[1])
end
return { backlog or -1, flying, math.max(0, time - oldest), redis.call('XLEN', KEYS[2]) }`

/**
 * Moves a group: it is made again at other places, so that nothing is pending any more, and its epoch tells its members
 * that what they hold is lost. KEYS meta stream…. ARGV group id….
 */
export const REWIND: string = `${EVEN_IF_FULL}
evenIfFull(KEYS[1])
for i = 2, #KEYS do
  redis.call('XGROUP', 'DESTROY', KEYS[i], ARGV[1])
  redis.call('XGROUP', 'CREATE', KEYS[i], ARGV[1], ARGV[i])
end
return redis.call('HINCRBY', KEYS[1], 'epoch:' .. ARGV[1], 1)`
