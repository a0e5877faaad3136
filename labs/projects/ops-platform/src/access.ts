import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';

export const Role = z.enum(['viewer', 'operator', 'admin', 'alerting']);
export type Role = z.output<typeof Role>;
export type Action = 'look' | 'run' | 'change' | 'alert';

const MAY: Readonly<Record<Role, readonly Action[]>> = {
  viewer: ['look'],
  operator: ['look', 'run'],
  admin: ['look', 'run', 'change'],
  // What the monitoring has: a token that leaks starts no runbook but those that alerts start.
  alerting: ['alert'],
};

export const may = (role: Role, action: Action): boolean => MAY[role].includes(action);

/** 256 random bits. They are shown once: what is kept is their hash, which opens nothing. */
export const newToken = (): string => randomBytes(32).toString('base64url');

/** A fast hash is enough for what nobody can guess. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');
