// Flaw: an unknown key is worth a download each time: whoever sends forged tokens has the issuer's desk overrun.
// Seen in: https://github.com/Michad/tilegroxy/issues/883
// Caught by: a new key opens at once, and a flood of unknown ones costs one download for each cooldown
import { type Guard, type GuardOptions, accessTokenGuard as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function accessTokenGuard(options: GuardOptions): Guard {
  return reference({ ...options, cooldownMs: 0 });
}
