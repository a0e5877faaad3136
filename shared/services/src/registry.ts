import { postgres } from './postgres.ts';
import { rabbitmq } from './rabbit.ts';
import { redis } from './redis.ts';
import type { Service } from './service.ts';

/** Every kind of server that labs can ask for. A new one: its file, and a line here. */
export const services: readonly Service[] = [redis, postgres, rabbitmq];
