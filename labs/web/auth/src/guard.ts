import { errors, type JWSHeaderParameters, type JWTPayload, jwtVerify } from 'jose';
import {
  InvalidArgumentError,
  MalformedRequestError,
  type Refusal,
  ScopeMissingError,
  TokenMissingError,
  TokenRefusedError,
} from './errors.ts';
import { KeySet, type KeySetOptions } from './keys.ts';

export interface GuardOptions extends KeySetOptions {
  /** The `iss` of every token that is let in. */
  readonly issuer: string;
  /** This service's own name: a token for another one opens nothing here. */
  readonly audience: string;
  /** What the issuer signs with, such as `['RS256']`. None with a shared secret: a public key is no secret. */
  readonly algs: readonly string[];
  /** What a token's header says that it is. Default `at+jwt` (RFC 9068); false for issuers that don't say. */
  readonly typ?: string | false;
  /** Seconds by which the issuer's clock may differ from this one's, up to 300. Default 5. */
  readonly clockToleranceS?: number;
}

/** Who has come in, and what he may do. */
export interface Access {
  readonly sub: string;
  readonly scopes: ReadonlySet<string>;
  readonly claims: JWTPayload;
}

/** Of the value of an Authorization header. */
export type Guard = (authorization: string | undefined) => Promise<Access>;

/**
 * Lets in who brings an access token (RFC 9068) of the issuer for this audience, as RFC 6750 asks.
 * The Guard rejects with TokenMissingError, MalformedRequestError, TokenRefusedError or KeysUnavailableError.
 * @throws {InvalidArgumentError} for options that would let in whom they shouldn't
 */
export function accessTokenGuard(options: GuardOptions): Guard {
  checkGuard(options);
  const { issuer, audience, algs, typ = 'at+jwt', clockToleranceS = 5 } = options;
  const keys = new KeySet(options);
  const expected = {
    issuer,
    audience,
    algorithms: [...algs],
    clockTolerance: clockToleranceS,
    requiredClaims: ['exp', 'iat', 'sub'],
    ...(typ !== false && { typ }),
  };
  return async (authorization) => {
    const token = bearer(authorization);
    try {
      const { payload } = await jwtVerify(token, (header: JWSHeaderParameters) => keys.find(header), expected);
      return access(payload);
    } catch (error) {
      throw refusal(error);
    }
  };
}

/**
 * Lets pass who has every one of `scopes`.
 * @throws {ScopeMissingError} @throws {InvalidArgumentError} for no scope at all, or one that RFC 6749 has no room for
 */
export function requireScope({ scopes }: Access, ...needed: readonly string[]): void {
  if (needed.length === 0 || !needed.every((it) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(it))) {
    throw new InvalidArgumentError(`The scopes ${JSON.stringify(needed)}: name one at least, in visible ASCII.`);
  }
  if (!needed.every((it) => scopes.has(it))) throw new ScopeMissingError(needed);
}

export function checkGuard({ issuer, audience, algs, clockToleranceS = 0, typ }: GuardOptions): void {
  if (!issuer || !audience) throw new InvalidArgumentError('issuer and audience: give both, and neither empty.');
  if (!Number.isFinite(clockToleranceS) || clockToleranceS < 0 || clockToleranceS > 300 || typ === '') {
    throw new InvalidArgumentError('clockToleranceS: give 0 to 300 seconds; typ: a type, or false.');
  }
  if (algs.length === 0 || algs.some((alg) => !/^(?:[RPE]S(?:256|384|512)|Ed25519|EdDSA|ML-DSA-\d\d)$/.test(alg))) {
    throw new InvalidArgumentError(`algs ${JSON.stringify(algs)}: name what the issuer signs with, by a public key.`);
  }
}

/** The token of an Authorization header (RFC 6750, section 2.1). @throws {TokenMissingError} @throws {MalformedRequestError} */
export function bearer(authorization: string | undefined): string {
  if (!/^Bearer(?:\s|$)/i.test(authorization ?? '')) throw new TokenMissingError();
  const token = /^Bearer +([\w\-.~+/]+=*)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) throw new MalformedRequestError();
  return token;
}

/** @throws {TokenRefusedError} it says nothing of whose it is */
export function access(claims: JWTPayload): Access {
  const { sub, scope } = claims;
  if (typeof sub !== 'string' || sub === '') throw new TokenRefusedError('claims');
  const scopes = new Set(typeof scope === 'string' ? scope.split(' ').filter(Boolean) : []);
  return { sub, scopes, claims };
}

const CLAIMS = new Map<string, Refusal>([
  ['typ', 'type'],
  ['iss', 'issuer'],
  ['aud', 'audience'],
  ['nbf', 'too early'],
]);
const CODES = new Map<string, Refusal>([
  ['ERR_JOSE_ALG_NOT_ALLOWED', 'algorithm'],
  ['ERR_JOSE_NOT_SUPPORTED', 'unsupported'],
  ['ERR_JWS_SIGNATURE_VERIFICATION_FAILED', 'signature'],
  ['ERR_JWT_EXPIRED', 'expired'],
]);

/** What jose says, without the claims that its errors carry. */
export function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTClaimValidationFailed)
    return new TokenRefusedError(CLAIMS.get(error.claim) ?? 'claims');
  return error instanceof errors.JOSEError ? new TokenRefusedError(CODES.get(error.code) ?? 'malformed') : error;
}
