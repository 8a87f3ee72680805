/** The server's time in ms, and `promote`: what is due leaves the ZSET for its lane's retry stream, oldest first. */
export const TIME: string = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end`

/**
 * A full server refuses commands that may take memory, unless their script has written before: scripts that free some, or
 * that a consumer cannot do without, begin so. It writes nothing.
 */
export const EVEN_IF_FULL: string = `
local function evenIfFull(hash) redis.call('HDEL', hash, '') end`

/**
 * A due entry is a sequence number of 16 digits, so that entries of one millisecond keep their order, and the packed lane
 * and fields. One that cannot be written (its stream is gone) stays. One that cannot be read would be in the way of all others:
 * it goes on as the body of a foreign entry. Answers how many ms the next one has to wait, or -1.
 */
export const PROMOTE: string = `
local function read(packed, lanes)
  local ok, entry = pcall(cmsgpack.unpack, string.sub(packed, 17))
  if ok and type(entry) == 'table' and #entry > 1 and #entry % 2 == 1 then
    local lane = tonumber(entry[1])
    for _, one in ipairs(entry) do ok = ok and type(one) == 'string' end
    if ok and lane and lane >= 0 and lane < lanes and lane % 1 == 0 then
      table.remove(entry, 1)
      return lane, entry
    end
  end
  return 0, { 'data', packed }
end
local function promote(due, limit, lanes, streamOf)
  -- What moves takes no memory: a full server allows it after a write, and this one writes nothing.
  redis.call('ZREM', due, '')
  for _, packed in ipairs(redis.call('ZRANGE', due, '-inf', now(), 'BYSCORE', 'LIMIT', 0, limit)) do
    local lane, fields = read(packed, lanes)
    if redis.call('XADD', streamOf(lane), 'NOMKSTREAM', '*', unpack(fields)) then
      redis.call('ZREM', due, packed)
    end
  end
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, math.ceil(first[2] - now())) or -1
end`

/** Fields of an `XINFO` reply by name: their number and order differ between versions. */
export const INFO: string = `
local function info(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end
local function groupOf(key, group)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local found = info(flat)
    if found.name == group then return found end
  end
end`
