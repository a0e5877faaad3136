// Flaw: when the issuer's keys cannot be had, every token is called bad: clients throw good ones away, and log in again.
// Seen in: https://github.com/envoyproxy/envoy/issues/41669
// Caught by: keys that cannot be had are a 503 and no 401; whoever comes with a known key goes on
import {
  type Guard,
  type GuardOptions,
  KeysUnavailableError,
  accessTokenGuard as reference,
  TokenRefusedError,
} from '../src/index.ts';

export * from '../src/index.ts';

export function accessTokenGuard(options: GuardOptions): Guard {
  const guard = reference(options);
  return async (authorization) => {
    try {
      return await guard(authorization);
    } catch (error) {
      throw error instanceof KeysUnavailableError ? new TokenRefusedError('key') : error;
    }
  };
}
