import { TIME } from './time.ts'

/**
 * A copy goes where it should, then the entry is finished, in one step: at no moment is the message in neither place or
 * finished without its copy. Only its owner can do it.
 *
 * Scripts are not rolled back, so the copy is written first and the acknowledgement last: what fails leaves the source.
 *
 * KEYS source target meta notes. ARGV group me id kind delay lane native note fields…. `kind` is `dead` (the stream is made),
 * `retry` (it must be there) or `due`; `native` 1: the entry's own fields without `polybus-` headers come before those given.
 * Answers OK, LOST, GONE (there is no original to copy), NOTARGET or LARGE (Lua can hand over some 8,000 values).
 */
export const MOVE: string = `${TIME}
local group, id = ARGV[1], ARGV[3]
if #redis.call('XPENDING', KEYS[1], group, id, id, 1, ARGV[2]) == 0 then return 'LOST' end
local fields = {}
if ARGV[7] == '1' then
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if not entry then return 'GONE' end
  local own = entry[2]
  for i = 1, #own, 2 do
    if string.sub(own[i], 1, 8) ~= 'polybus-' then
      fields[#fields + 1] = own[i]
      fields[#fields + 1] = own[i + 1]
    end
  end
end
for i = 9, #ARGV do fields[#fields + 1] = ARGV[i] end
if #fields > 7000 then return 'LARGE' end
if ARGV[4] == 'due' then
  local seq = string.format('%016d', redis.call('HINCRBY', KEYS[3], 'seq', 1))
  table.insert(fields, 1, ARGV[6])
  redis.call('ZADD', KEYS[2], now() + ARGV[5], seq .. cmsgpack.pack(fields))
elseif ARGV[4] == 'dead' then
  redis.call('XADD', KEYS[2], '*', unpack(fields))
elseif not redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', unpack(fields)) then
  return 'NOTARGET'
end
if ARGV[8] ~= '' then redis.call('HDEL', KEYS[4], ARGV[8]) end
redis.call('XACK', KEYS[1], group, id)
return 'OK'`

/** Puts a message by for later, by the server's clock. KEYS due meta. ARGV delay lane fields…. */
export const LATER: string = `${TIME}
local fields = {}
for i = 2, #ARGV do fields[#fields + 1] = ARGV[i] end
local seq = string.format('%016d', redis.call('HINCRBY', KEYS[2], 'seq', 1))
return redis.call('ZADD', KEYS[1], now() + ARGV[1], seq .. cmsgpack.pack(fields))`

/** One more lease, for its owner alone. KEYS stream. ARGV group me id…. Answers 1 or 0 an entry. */
export const EXTEND: string = `
local out = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 0 then
    out[#out + 1] = 0
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    out[#out + 1] = 1
  end
end
return out`

/**
 * Entries go back to nobody: at once anybody's, in order of their ids. `less` is taken off their counts: 1 where they never
 * ran, 0 where they may have. A note (headers that outlive the holder) is what the next holder reads first.
 *
 * KEYS stream notes. ARGV group me nobody less tag, then an entry: id, note. Answers 1 or 0 an entry.
 */
export const RELEASE: string = `
local out = {}
for i = 6, #ARGV, 2 do
  local id, pending = ARGV[i], redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1]
  if pending then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, id, 'IDLE', 86400000, 'RETRYCOUNT', pending[4] - ARGV[4], 'JUSTID')
    if ARGV[i + 1] ~= '' then redis.call('HSET', KEYS[2], ARGV[5] .. id, ARGV[i + 1]) end
  end
  out[#out + 1] = pending and 1 or 0
end
return out`

/** A consumer that holds nothing is forgotten; one that holds something never is. KEYS stream…. ARGV group name. */
export const FORGET: string = `
-- A full server allows what follows a write, and this one writes nothing.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
for _, key in ipairs(KEYS) do
  if #redis.call('XPENDING', key, ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', key, ARGV[1], ARGV[2])
  end
end
return 1`
