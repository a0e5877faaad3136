import { once } from 'node:events';
import { createServer } from 'node:http';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export interface Key {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  /** What the issuer publishes of it. */
  readonly jwk: JWK;
  readonly pem: string;
  /** With the private part. */
  readonly secret: JWK;
}

export async function newKey(kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const more = { kid, alg: 'ES256', use: 'sig' };
  const [jwk, secret] = [
    { ...(await exportJWK(publicKey)), ...more },
    { ...(await exportJWK(privateKey)), ...more },
  ];
  return { kid, privateKey, jwk, secret, pem: await exportSPKI(publicKey) };
}

export interface Signing {
  readonly key: Key;
  readonly header?: { readonly [name: string]: unknown };
}

export interface House {
  readonly issuer: string;
  readonly audience: string;
}

/** What the desk of `house` writes on a card. Times are seconds from now; undefined takes a claim away. */
export function card({ issuer, audience }: House, more: JWTPayload = {}): JWTPayload {
  const now = Math.floor(Date.now() / 1000);
  return { iss: issuer, aud: audience, sub: 'mo', scope: 'door:open', iat: now, exp: now + 300, ...more };
}

export function sign(claims: JWTPayload, { key, header = {} }: Signing): Promise<string> {
  const { kid, privateKey } = key;
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...header }).sign(privateKey, {
    crit: { night: true },
  });
}

/** An issuer's published keys, on a port of their own: what a guard downloads, how often, and what becomes of it. */
export async function openKeys(first: readonly JWK[]) {
  let published: readonly JWK[] = first;
  let answer: 'keys' | 'broken' | 'no JSON' | 'silence' = 'keys';
  let downloads = 0;
  const server = createServer((_, response) => {
    downloads++;
    if (answer === 'silence') return;
    if (answer === 'broken') response.statusCode = 500;
    if (answer === 'no JSON') response.end('<html>');
    else response.end(JSON.stringify({ keys: answer === 'keys' ? published : [] }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    jwksUri: `http://127.0.0.1:${port}/jwks`,
    downloads: () => downloads,
    publish(...keys: readonly Key[]) {
      published = keys.map(({ jwk }) => jwk);
    },
    answers(how: typeof answer) {
      answer = how;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}
