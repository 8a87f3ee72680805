/** The commands that a user needs; docs/brokers/redis.md names the same. */
export const PERMISSIONS: readonly string[] = (
  '+ping +info +select +script|load +evalsha +client|id +client|unblock +config|get ' +
  '+multi +exec +time +exists ' +
  '+xadd +xread +xreadgroup +xack +xclaim +xpending +xrange +xlen +xdel +xtrim +xinfo +xgroup ' +
  '+hget +hmget +hset +hdel +hkeys +hincrby +zadd +zrange +zrem +zcard +zcount +zremrangebyscore'
).split(' ')
