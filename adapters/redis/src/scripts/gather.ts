import { INFO, PROMOTE, TIME } from './time.ts'

/**
 * What a member of a group without lanes gets besides new entries: due retries, what others gave back, what an earlier
 * connection of its own process held, and what has been idle for longer than any lease.
 *
 * Promises: an entry is handed to one member; the count rises by one a hand-over, except for what the same process takes
 * back; entries that were deleted under a group leave its pending list. Nothing is taken beyond `max`.
 *
 * KEYS main retry due notes meta. ARGV group me max minIdle overdue promote prefix-released orphans…
 * Answers next-due-ms, epoch, last ids of retry and main where nothing was found, orphans that hold nothing more, entries.
 */
export const GATHER: string = `${TIME}${PROMOTE}${INFO}
local group, me, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
local idle = math.max(tonumber(ARGV[4]), tonumber(redis.call('HGET', KEYS[5], 'idle:' .. group) or 0))
local streams, tags = { KEYS[2], KEYS[1] }, { 'r0/', 'm0/' }
local out, done = {}, {}
local wait = promote(KEYS[3], ARGV[6], 1, function() return KEYS[2] end)

local function claim(s, id, count)
  local entry = redis.call('XCLAIM', streams[s], group, me, 0, id, 'RETRYCOUNT', count)[1]
  if entry then
    out[#out + 1] = { s, id, entry[2], count, redis.call('HGET', KEYS[4], tags[s] .. id) }
    left = left - 1
  else
    redis.call('XACK', streams[s], group, id)
  end
end
local function back(name, more)
  for s = 1, 2 do
    if left > 0 then
      for _, p in ipairs(redis.call('XPENDING', streams[s], group, '-', '+', left, name)) do
        claim(s, p[1], p[4] + more)
      end
    end
  end
end
back(ARGV[7], 1)
for i = 8, #ARGV do
  back(ARGV[i], 0)
  local rest = 0
  for s = 1, 2 do rest = rest + #redis.call('XPENDING', streams[s], group, '-', '+', 1, ARGV[i]) end
  if rest == 0 then
    for s = 1, 2 do redis.call('XGROUP', 'DELCONSUMER', streams[s], group, ARGV[i]) end
    done[#done + 1] = ARGV[i]
  end
end
if ARGV[5] == '1' then
  for s = 1, 2 do
    if left > 0 then
      for _, p in ipairs(redis.call('XPENDING', streams[s], group, 'IDLE', idle, '-', '+', left)) do
        claim(s, p[1], p[4] + 1)
      end
    end
  end
end
if left > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', left, 'STREAMS', KEYS[2], '>')
  if read then
    for _, e in ipairs(read[1][2]) do out[#out + 1] = { 1, e[1], e[2], 1, false } end
  end
end
local last = { '', '' }
if #out == 0 then
  for s = 1, 2 do last[s] = groupOf(streams[s], group)['last-delivered-id'] end
end
return { wait, redis.call('HGET', KEYS[5], 'epoch:' .. group) or '0', last[1], last[2], done, out }`

/**
 * What a member gets from the lanes it owns. The lease of a lane is checked in the same step as its entries are taken, so
 * that a member which was frozen reads nothing from a lane that it has lost.
 *
 * Promises, a lane: all that was pending when it was taken comes first, in order, and before anything new; after a release
 * within the lane what is not ours comes first again. Lanes share `max` evenly; what one leaves the others may take.
 *
 * KEYS lanes due notes meta retry… main…. ARGV group me max promote partitions orphans orphan…, then a lane: number,
 * all, cursor of retry, cursor of main (empty: nothing pending is left to take).
 */
export const GATHER_LANES: string = `${TIME}${PROMOTE}${INFO}
local group, me, left, n, orphans = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local out, same, lanes, states = {}, {}, {}, {}
local wait = promote(KEYS[2], ARGV[4], n, function(lane) return KEYS[5 + lane] end)
local time = now()
for i = 7, 6 + orphans do same[ARGV[i]] = true end
for i = 7 + orphans, #ARGV, 4 do
  local no = tonumber(ARGV[i])
  local owner, expiry = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^(.*)|(%d+)$')
  lanes[#lanes + 1] = {
    no = no, all = ARGV[i + 1] == '1', cursor = { ARGV[i + 2], ARGV[i + 3] }, last = { '', '' },
    keys = { KEYS[5 + no], KEYS[5 + n + no] }, tags = { 'r' .. no .. '/', 'm' .. no .. '/' },
    mine = owner == me and tonumber(expiry) > time,
  }
end

local function claim(lane, s, p)
  local count = same[p[2]] and p[4] or p[4] + 1
  local entry = redis.call('XCLAIM', lane.keys[s], group, me, 0, p[1], 'RETRYCOUNT', count)[1]
  if not entry then
    redis.call('XACK', lane.keys[s], group, p[1])
    return 0
  end
  out[#out + 1] = { s, p[1], entry[2], count, redis.call('HGET', KEYS[3], lane.tags[s] .. p[1]), lane.no }
  return 1
end
local function serve(lane, budget)
  local used = 0
  for s = 1, 2 do
    while lane.cursor[s] ~= '' and used < budget do
      local asked = budget - used
      local list = redis.call('XPENDING', lane.keys[s], group, lane.cursor[s], '+', asked)
      for _, p in ipairs(list) do
        if lane.all or p[2] ~= me then used = used + claim(lane, s, p) end
      end
      lane.cursor[s] = #list < asked and '' or '(' .. list[#list][1]
    end
  end
  if lane.cursor[1] == '' and lane.cursor[2] == '' then
    for s = 1, 2 do
      if used < budget then
        local read = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', budget - used, 'STREAMS', lane.keys[s], '>')
        if read then
          for _, e in ipairs(read[1][2]) do out[#out + 1] = { s, e[1], e[2], 1, false, lane.no } end
          used = used + #read[1][2]
        end
      end
    end
  end
  return used
end
local hungry = lanes
while left > 0 and #hungry > 0 do
  local share, full = math.max(1, math.ceil(left / #hungry)), {}
  for _, lane in ipairs(hungry) do
    if lane.mine and left > 0 then
      local budget = math.min(share, left)
      local used = serve(lane, budget)
      left = left - used
      if used == budget then full[#full + 1] = lane end
    end
  end
  hungry = full
end
for i, lane in ipairs(lanes) do
  if #out == 0 and lane.mine then
    for s = 1, 2 do lane.last[s] = groupOf(lane.keys[s], group)['last-delivered-id'] end
  end
  states[i] = { lane.no, lane.mine and 1 or 0, lane.cursor[1], lane.cursor[2], lane.last[1], lane.last[2] }
end
return { wait, redis.call('HGET', KEYS[4], 'epoch:' .. group) or '0', states, out }`
