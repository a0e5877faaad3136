import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose';
import { checkTimes, checkUrl } from './checks.ts';
import { KeysUnavailableError, TokenRefusedError } from './errors.ts';

export interface KeySetOptions {
  /** Where the issuer publishes its keys: `jwks_uri` of its metadata. */
  readonly jwksUri: string | URL;
  /** Milliseconds between two downloads, at least, whatever tokens come. Default 30,000. */
  readonly cooldownMs?: number;
  /** Milliseconds after which known keys are downloaded again, so that a withdrawn one is forgotten. Default 10 minutes. */
  readonly maxAgeMs?: number;
  /** Milliseconds for which known keys hold on when no download succeeds. Default 1 hour. */
  readonly staleMs?: number;
  /** Milliseconds for one download. Default 5000. */
  readonly timeoutMs?: number;
}

/**
 * The keys of an issuer (RFC 7517), downloaded when they are needed and kept. A token that names a key which isn't there may be
 * the first after a rotation, or one of a thousand forged ones: it is worth one download for each cooldown.
 */
export class KeySet {
  protected readonly url: URL;
  protected readonly options: Required<Omit<KeySetOptions, 'jwksUri'>>;
  protected known: ReturnType<typeof createLocalJWKSet> | undefined;
  protected loadedAt = Number.NEGATIVE_INFINITY;
  protected askedAt = Number.NEGATIVE_INFINITY;
  protected failure: string | undefined;
  protected flight: Promise<void> | undefined;

  /** @throws {InvalidArgumentError} for times that are none, or an address that none could be downloaded from */
  constructor({
    jwksUri,
    cooldownMs = 30_000,
    maxAgeMs = 600_000,
    staleMs = 3_600_000,
    timeoutMs = 5_000,
  }: KeySetOptions) {
    checkTimes({ cooldownMs, maxAgeMs, staleMs, timeoutMs });
    this.url = checkUrl('jwksUri', jwksUri);
    this.options = { cooldownMs, maxAgeMs, staleMs, timeoutMs };
  }

  /**
   * The key that a token's header names.
   * @throws {TokenRefusedError} there is no such key @throws {KeysUnavailableError} nobody can tell
   */
  async find(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (typeof header.kid !== 'string') throw new TokenRefusedError('key');
    if (this.age() > this.options.maxAgeMs) {
      const renewed = this.refresh();
      // While the issuer is out of order, nobody who comes with a known key waits for it.
      if (this.known === undefined || this.failure === undefined) await renewed;
    }
    const key = await this.lookup(header);
    if (key) return key;
    await this.refresh();
    const found = await this.lookup(header);
    if (found) return found;
    throw this.failure === undefined ? new TokenRefusedError('key') : new KeysUnavailableError(this.url, this.failure);
  }

  /** Downloads the keys, unless that has been tried within the cooldown. Who comes meanwhile waits for the same download. */
  protected refresh(): Promise<void> {
    if (this.flight) return this.flight;
    if (performance.now() - this.askedAt < this.options.cooldownMs) return Promise.resolve();
    this.askedAt = performance.now();
    this.flight = this.download().finally(() => {
      this.flight = undefined;
    });
    return this.flight;
  }

  /** Milliseconds since the known keys were downloaded; Infinity when there are none. */
  protected age(): number {
    return performance.now() - this.loadedAt;
  }

  /** The key among the known ones, undefined when it isn't there. */
  protected async lookup(header: JWSHeaderParameters): Promise<CryptoKey | undefined> {
    if (this.known === undefined || this.age() > this.options.maxAgeMs + this.options.staleMs) return undefined;
    try {
      const key = await this.known(header);
      const { algorithm } = key;
      const bits = 'modulusLength' in algorithm ? Number(algorithm.modulusLength) : 2048;
      if (bits >= 2048) return key;
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
    }
    // Broken, private, short, or two of a name: that is the issuer's fault, and the token may be good.
    throw new KeysUnavailableError(this.url, 'the key is of no use');
  }

  /** One download. It rejects never: the known keys stay when it fails, and `failure` says why. */
  protected async download(): Promise<void> {
    try {
      const signal = AbortSignal.timeout(this.options.timeoutMs);
      const response = await fetch(this.url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
      if (response.status !== 200) {
        this.failure = `status ${response.status}`;
        return await response.body?.cancel();
      }
      // createLocalJWKSet looks at the form itself, and copies.
      const set: JSONWebKeySet = JSON.parse(await response.text());
      this.known = createLocalJWKSet(set);
      this.loadedAt = performance.now();
      this.failure = undefined;
    } catch (error) {
      this.failure = reason(error);
    }
  }
}

/** Messages may have a part of the answer or of the address in them: a name and a code say enough. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  const { name, cause } = error;
  return typeof cause === 'object' && cause !== null && 'code' in cause ? `${cause.code}` : name;
}
