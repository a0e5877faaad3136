// Flaw: looks at the signature alone: whatever the issuer has signed, for whomever, opens.
// Seen in: https://github.com/percona/pg_oidc_validator/issues/49
// Caught by: a token that the issuer has signed for something else opens nothing
import { jwtVerify } from 'jose';
import { access, bearer, refusal } from '../src/guard.ts';
import { type Guard, type GuardOptions, KeySet } from '../src/index.ts';

export * from '../src/index.ts';

export function accessTokenGuard(options: GuardOptions): Guard {
  const keys = new KeySet(options);
  return async (authorization) => {
    const token = bearer(authorization);
    try {
      const { payload } = await jwtVerify(token, (header) => keys.find(header), { algorithms: [...options.algs] });
      return access(payload);
    } catch (error) {
      throw refusal(error);
    }
  };
}
