import type { Twin } from './twin.ts';

/** What must not be known or guessed: secrets, hashes, random numbers, connections. */
export const data: readonly Twin[] = [
  {
    rule: 'hard-coded-secret',
    bad: `const dbPassword = 'admin123';`,
    good: `const dbPassword = process.env.DB_PASSWORD;`,
  },
  {
    rule: 'hard-coded-secret',
    bad: `export const config = { user: 'app', password: '123456' };`,
    good: `export const config = { user: 'app', password: 'changeme', passwordField: 'user_password' };`,
  },
  {
    rule: 'hard-coded-secret',
    bad: `const apiKey = 'q7Zr2Lw9XcV4bN8mK1tY6pHs';`,
    good: `const apiKey = '<your key>';
const apiKeyHeader = 'x-api-key';`,
  },
  {
    rule: 'hard-coded-secret',
    bad: `s3.connect({ id: 'AKIAQ7ZR2LW9XCV4BN8M' });`,
    good: `s3.connect({ id: process.env['AWS_ACCESS_KEY_ID'], tokenUrl: 'https://sts.example.com/token' });`,
  },
  {
    rule: 'hard-coded-secret',
    bad: `export const pool = new Pool('postgres://app:w9XcV4bN@db.internal/shop');`,
    good: `export const pool = new Pool('postgres://localhost/shop');
export const wrongPassword = 'Wrong password, try again.';`,
  },
  {
    rule: 'hard-coded-secret',
    bad: `jwt.sign(user, secret);
function sign(user, secret = 's3cr3t-of-1970') { return jwt.sign(user, secret); }`,
    good: `export const Token = { password: 'password', secret: 'client-secret', token: 'access_token' };`,
  },
  {
    rule: 'weak-random',
    bad: `const key = Math.floor(Math.random() * 100) + 1;`,
    good: `const delay = Math.floor(Math.random() * 100) + 1;`,
  },
  {
    rule: 'weak-random',
    bad: `export function resetToken() { return Math.random().toString(36).slice(2); }`,
    good: `import { randomUUID } from 'node:crypto';
export function resetToken() { return randomUUID(); }`,
  },
  {
    rule: 'weak-random',
    bad: `const { random } = Math;
session.id = { csrf: random().toString(36) };`,
    good: `const { random } = Math;
const shuffled = cards.sort(() => random() - 0.5);`,
  },
  {
    rule: 'weak-hash',
    bad: `import { createHash } from 'node:crypto';
export const digest = (text) => createHash('md5').update(text).digest('hex');`,
    good: `import { createHash } from 'node:crypto';
export const digest = (text) => createHash('sha256').update(text).digest('hex');`,
  },
  {
    rule: 'weak-hash',
    bad: `import crypto from 'node:crypto';
const ALGORITHM = 'SHA1';
export const stored = (password) => crypto.createHash(ALGORITHM).update(password).digest();`,
    good: `import crypto from 'node:crypto';
const ALGORITHM = 'sha512'; // never 'md5'
export const etag = (text) => crypto.createHash(ALGORITHM).update(text).digest();`,
  },
  {
    rule: 'tls-off',
    bad: `https.get(url, { rejectUnauthorized: false });`,
    good: `https.get(url, { rejectUnauthorized: true, ca });`,
  },
  {
    rule: 'tls-off',
    bad: `process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';`,
    good: `if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') throw new Error('TLS must be checked');`,
  },
];
