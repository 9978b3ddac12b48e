/**
 * What Redis does in one step for the shared seen store. The rules are those of epoch.ts; a receiver that reads an epoch
 * back finds what it would have remembered itself.
 *
 * ```text
 * KEYS[1]  P:memory        id · count (of marks) · time (highest authenticated, ms)
 * KEYS[2]  P:e:EPOCH       start · next · floor · uN used apart from start..next · sN skipped · pN parked · hN hash
 *                          hashes, parkeds · rI, qI rings of the last 64 and 1 024 of these
 * KEYS[3]  P:c:EPOCH:N     the claim of a worker, with a lease        P:x:SENDER   epochs closed before, ms
 * ARGV[1]  the id that the worker knows: another one, or none, means that the memory is gone
 * ```
 */

/** n.b. `tostring` would write large numbers as 1e+15. */
const COMMON = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {'lost'} end
local epoch = KEYS[2]
local function text(seq) return string.format('%.0f', seq) end
local function take(seq) return redis.call('HDEL', epoch, 'u' .. text(seq)) == 1 end

local function run()
  local ends = redis.call('HMGET', epoch, 'start', 'next')
  return tonumber(ends[1]), tonumber(ends[2])
end

local function known(seq)
  local n = text(seq)
  local has = redis.call('HMGET', epoch, 's' .. n, 'p' .. n, 'u' .. n, 'h' .. n)
  local mark = has[1] and 'skipped' or has[2] and 'parked' or has[3] and 'handled'
  local first, next = run()
  if not mark and first and seq >= first and seq < next then mark = 'handled' end
  if mark then return {'known', mark, has[4] or ''} end
end

local function place(seq)
  local first, next = run()
  if not first then first, next = seq, seq end
  if seq == next then
    next = next + 1
    while take(next) do next = next + 1 end
  elseif seq == first - 1 then
    first = first - 1
    while take(first - 1) do first = first - 1 end
  elseif seq > next or seq < first then
    redis.call('HSET', epoch, 'u' .. text(seq), 1)
  end
  redis.call('HSET', epoch, 'start', text(first), 'next', text(next))
end

local function list(kind, ring, counter, most, seq, value)
  local at = redis.call('HINCRBY', epoch, counter, 1) % most
  local old = redis.call('HGET', epoch, ring .. at)
  if old then redis.call('HDEL', epoch, kind .. old) end
  redis.call('HSET', epoch, ring .. at, text(seq), kind .. text(seq), value)
end
`

/** ARGV: id, number, token, lease ms. Answers `known mark hash`, `claimed`, or `held` with ms that are left. */
export const CLAIM: string = `${COMMON}
local has = known(tonumber(ARGV[2]))
if has then return has end
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[3] then return {'held', redis.call('PTTL', KEYS[3])} end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
return {'claimed'}
`

/**
 * ARGV: id, number, mark, hash, token or '', ms that the epoch is kept. Answers `marked count overtaken`: how many marks
 * there were, and 1 where the claim had ended.
 */
export const MARK: string = `${COMMON}
local seq = tonumber(ARGV[2])
local overtaken = 0
if ARGV[5] ~= '' then
  if redis.call('GET', KEYS[3]) == ARGV[5] then redis.call('DEL', KEYS[3]) else overtaken = 1 end
end
local has = known(seq)
if not has or has[2] == 'skipped' then
  redis.call('HDEL', epoch, 's' .. text(seq))
  if ARGV[3] == 'skipped' then redis.call('HSET', epoch, 's' .. text(seq), 1) end
  if ARGV[3] == 'parked' then list('p', 'q', 'parkeds', 1024, seq, 1) end
  if ARGV[3] == 'handled' or ARGV[3] == 'parked' then list('h', 'r', 'hashes', 64, seq, ARGV[4]) end
  place(seq)
end
redis.call('PEXPIRE', epoch, ARGV[6])
return {'marked', redis.call('HINCRBY', KEYS[1], 'count', 1), overtaken}
`

/** KEYS: memory, epoch, closed. Answers `recalled`, the epoch's fields and values, and closed before or ''. */
export const RECALL: string = `${COMMON}
return {'recalled', redis.call('HGETALL', epoch), redis.call('GET', KEYS[3]) or ''}
`

/**
 * ARGV: id, ms that the epoch is kept, floor, 1 where the memory was set back, how many fields, fields and values of the
 * whole epoch, numbers skipped. Adds: what a worker says is used up is used up, whatever others have written meanwhile; of two
 * runs that do not touch the shorter is listed. A start at or below the floor that jumps ahead says that what lies before is late.
 */
export const NOTE: string = `${COMMON}
local count = tonumber(ARGV[5])
local given = {}
for i = 6, 5 + count, 2 do given[ARGV[i]] = ARGV[i + 1] end
if redis.call('EXISTS', epoch) == 0 then
  for field, value in pairs(given) do redis.call('HSET', epoch, field, value) end
end
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', epoch, 'floor') or '-1') then
  redis.call('HSET', epoch, 'floor', ARGV[3])
end
local outside = {}
for i = 6 + count, #ARGV do
  local seq = tonumber(ARGV[i])
  if not known(seq) then
    redis.call('HSET', epoch, 's' .. text(seq), 1)
    outside[#outside + 1] = seq
  end
end
local first, next = run()
local start, stop = tonumber(given['start']), tonumber(given['next'])
local function apart(from, to)
  for seq = from, to - 1 do redis.call('HSET', epoch, 'u' .. text(seq), 1) end
end
if start > next and start <= tonumber(ARGV[3]) then
  first, next = start, stop
elseif start <= next and stop >= first then
  first, next = math.min(first, start), math.max(next, stop)
elseif stop - start > next - first then
  if next - first <= 4096 then apart(first, next) end
  first, next = start, stop
elseif stop - start <= 4096 then
  apart(start, stop)
end
for _, field in ipairs(redis.call('HKEYS', epoch)) do
  local n = string.match(field, '^u(%d+)$')
  if n and tonumber(n) >= first and tonumber(n) < next then redis.call('HDEL', epoch, field) end
end
while take(next) do next = next + 1 end
while take(first - 1) do first = first - 1 end
redis.call('HSET', epoch, 'start', text(first), 'next', text(next))
for _, seq in ipairs(outside) do
  if seq < first or seq >= next then place(seq) end
end
if ARGV[4] == '1' then
  for field in pairs(given) do
    local kind, n = string.match(field, '^([up])(%d+)$')
    local seq = tonumber(n)
    if seq and not known(seq) then
      if kind == 'p' then list('p', 'q', 'parkeds', 1024, seq, 1) end
      place(seq)
    end
  end
end
redis.call('PEXPIRE', epoch, ARGV[2])
return {'noted'}
`

/** KEYS: memory, epoch, closed. ARGV: id, closed before ms, ms that this is kept. */
export const CLOSE: string = `${COMMON}
if tonumber(ARGV[2]) > tonumber(redis.call('GET', KEYS[3]) or '0') then
  redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
end
return {'closed'}
`

/** ARGV: id, ms. */
export const TIME: string = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {'lost'} end
if tonumber(ARGV[2]) > (tonumber(redis.call('HGET', KEYS[1], 'time')) or 0) then
  redis.call('HSET', KEYS[1], 'time', ARGV[2])
end
return {'kept'}
`

/** ARGV: an id for a memory that is not there yet. Answers `open id time count`. */
export const OPEN: string = `
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
local has = redis.call('HMGET', KEYS[1], 'id', 'time', 'count')
return {'open', has[1], has[2] or '0', has[3] or '0'}
`

/**
 * KEYS: claims. ARGV: lease ms, then the token of each. A claim that has ended without another taking it begins anew.
 * Answers `renewed` and the places, from 1, of those that others have.
 */
export const RENEW: string = `
local taken = {'renewed'}
for i, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder and holder ~= ARGV[i + 1] then taken[#taken + 1] = i
  else redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end
end
return taken
`

/** KEYS: a claim. ARGV: its token. */
export const RELEASE: string = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'released'}
`

/** KEYS: workers of an inbox. ARGV: one of them, ms that it counts (0: no more). Answers `present` and how many there are. */
export const PRESENT: string = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[2] == '0' then redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {'present', redis.call('ZCARD', KEYS[1])}
`

/** All of them. */
export const SCRIPTS: readonly string[] = [CLAIM, MARK, RECALL, NOTE, CLOSE, TIME, RENEW, RELEASE, PRESENT]
