import { EVEN_IF_FULL, TIME } from './time.ts'

/**
 * A member says that it lives, and is told its lanes. One step renews what it owns, takes free lanes (nobody's, a dead
 * member's, those of its own earlier connections) up to its fair share, and names those it should give up.
 *
 * Promises: a lane has one owner until its lease is over by the server's clock; the numbers of lanes of living members end
 * within one of each other.
 *
 * KEYS members lanes. ARGV me ttl partitions orphan…. Answers owned, to give up, and 1 where lanes are still to come.
 */
export const SHARE: string = `${TIME}
local time, me, ttl, n = now(), ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local gone = {}
for i = 4, #ARGV do
  gone[ARGV[i]] = true
  redis.call('ZREM', KEYS[1], ARGV[i])
end
-- It comes before what a full server would refuse, so that it refuses nothing here.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time)
redis.call('ZADD', KEYS[1], time + ttl, me)
local members = redis.call('ZCARD', KEYS[1])
local own, free, counts = {}, {}, {}
for lane = 0, n - 1 do
  local owner, expiry = string.match(redis.call('HGET', KEYS[2], lane) or '', '^(.*)|(%d+)$')
  if owner and tonumber(expiry) > time and not gone[owner] then
    if owner == me then own[#own + 1] = lane else counts[owner] = (counts[owner] or 0) + 1 end
  else
    free[#free + 1] = lane
  end
end
local floor, larger = math.floor(n / members), 0
for _, count in pairs(counts) do
  if count > floor then larger = larger + 1 end
end
local cap = larger < n % members and floor + 1 or floor
for _, lane in ipairs(free) do
  if #own < cap then own[#own + 1] = lane end
end
for _, lane in ipairs(own) do redis.call('HSET', KEYS[2], lane, me .. '|' .. (time + ttl)) end
local give = {}
for i = cap + 1, #own do give[#give + 1] = own[i] end
return { own, give, #own < floor and 1 or 0 }`

/**
 * Lanes go back, those named or all, and with all of them the membership. Somebody else's are left alone.
 *
 * KEYS members lanes. ARGV me partitions lane….
 */
export const LEAVE: string = `
local lanes = {}
for i = 3, #ARGV do lanes[#lanes + 1] = ARGV[i] end
if #lanes == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  for lane = 0, ARGV[2] - 1 do lanes[#lanes + 1] = lane end
end
for _, lane in ipairs(lanes) do
  local owner = string.match(redis.call('HGET', KEYS[2], lane) or '', '^(.*)|%d+$')
  if owner == ARGV[1] then redis.call('HDEL', KEYS[2], lane) end
end
return 1`

/**
 * The longest lease of a group's members counts for all: whoever takes over by a shorter one would take from the living.
 *
 * KEYS meta. ARGV group idle.
 */
export const IDLE: string = `${EVEN_IF_FULL}
local field = 'idle:' .. ARGV[1]
evenIfFull(KEYS[1])
if tonumber(redis.call('HGET', KEYS[1], field) or 0) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], field, ARGV[2]) end
return 1`
