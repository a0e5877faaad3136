// Redis runs a script whole, and nobody sees it half done.

/**
 * KEYS item, buyers, orders, tries, cancelled; ARGV user, order, tries, window. The reservation and the order's entry in the stream are
 * one step: no crash comes between them, and a unit that is reserved has an order on its way.
 */
const BUY = `
local stock, startsAt, generation = unpack(redis.call('HMGET', KEYS[1], 'stock', 'startsAt', 'generation'))
if not stock then return {'busy'} end
local mine = redis.call('HGET', KEYS[2], ARGV[1])
if mine == ARGV[2] then return {'ok'} end
if redis.call('SISMEMBER', KEYS[5], ARGV[2]) == 1 then return {'cancelled'} end
local tries = redis.call('INCR', KEYS[4])
if tries == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[4]) end
if tries > tonumber(ARGV[3]) then return {'busy'} end
local time = redis.call('TIME')
local opensIn = tonumber(startsAt) - (time[1] * 1000 + math.floor(time[2] / 1000))
if opensIn > 0 then return {'not_started', tostring(opensIn)} end
if mine then return {'duplicate'} end
if tonumber(stock) < 1 then return {'sold_out'} end
redis.call('HINCRBY', KEYS[1], 'stock', -1)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[3], '*', 'user', ARGV[1], 'order', ARGV[2], 'generation', generation)
return {'ok'}`;

/**
 * KEYS item, buyers, cancelled; ARGV user, order, units, '1' for an order that stood in the book. Only the reservation of this very
 * order, so that a second call finds none.
 */
const GIVE_BACK = `
if ARGV[4] == '1' then redis.call('SADD', KEYS[3], ARGV[2]) end
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'stock', ARGV[3])
return 1`;

/** KEYS item, buyers, orders; ARGV user, order. */
const REQUEUE = `
local stock, generation = unpack(redis.call('HMGET', KEYS[1], 'stock', 'generation'))
local mine = redis.call('HGET', KEYS[2], ARGV[1])
if not stock or (mine and mine ~= ARGV[2]) then return 0 end
if not mine then
  if tonumber(stock) < 1 then return 0 end
  redis.call('HINCRBY', KEYS[1], 'stock', -1)
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
redis.call('XADD', KEYS[3], '*', 'user', ARGV[1], 'order', ARGV[2], 'generation', generation)
return 1`;

/**
 * KEYS item, buyers, orders; ARGV stock, startsAt, generation, a JSON list of users and orders in turn. Who was told yes, and whose
 * entry still waits, keeps his unit: no count can know of him.
 */
const LOAD = `
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) >= tonumber(ARGV[3]) then return 0 end
local told = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do
  local user, order = entry[2][2], entry[2][4]
  if order and redis.call('HGET', KEYS[2], user) == order then told[#told + 1] = {user, order} end
end
redis.call('DEL', KEYS[2])
local list = cjson.decode(ARGV[4])
for n = 1, #list, 2 do redis.call('HSET', KEYS[2], list[n], list[n + 1]) end
local stock = tonumber(ARGV[1])
for _, it in ipairs(told) do
  if stock > 0 and redis.call('HSETNX', KEYS[2], it[1], it[2]) == 1 then stock = stock - 1 end
end
redis.call('HSET', KEYS[1], 'stock', stock, 'startsAt', ARGV[2], 'generation', ARGV[3])
return 1`;

/** KEYS item, buyers, orders. */
const SNAPSHOT = `
local stock, generation = unpack(redis.call('HMGET', KEYS[1], 'stock', 'generation'))
if not stock then return false end
local waiting = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do waiting[#waiting + 1] = entry[2][4] end
return {stock, generation, redis.call('HGETALL', KEYS[2]), waiting}`;

/** What a gate can be asked, in Redis' own language. */
export const scripts = { buy: BUY, giveBack: GIVE_BACK, requeue: REQUEUE, load: LOAD, snapshot: SNAPSHOT } as const;
export type Scripts = Readonly<Record<keyof typeof scripts, string>>;
