// Flaw: null markers and no filter: each random id costs a query and a key in Redis, whose memory is the attacker's to fill.
// Seen in: https://www.besthub.dev/articles/prevent-redis-cache-penetration-bloom-filters-empty-value-caching-and-rate-limiting-6d5dc2117a66
// Caught by: an attack of random ids costs the database next to nothing and Redis no memory
import { protect as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const protect: typeof reference = ({ guard, cache }, client) => reference({ guard, cache }, client);
