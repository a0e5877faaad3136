// Flaw: believes what the token says of how it is signed, and by which key.
// Seen in: https://github.com/advisories/GHSA-c7hr-j4mj-j2w6
// Caught by: a forged token opens nothing, whatever it says of itself; a real one opens
import { createHmac } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, exportSPKI, importJWK } from 'jose';
import { access, bearer } from '../src/guard.ts';
import { accessTokenGuard as careful, type Guard, type GuardOptions, KeySet, TokenRefusedError } from '../src/index.ts';

export * from '../src/index.ts';

export function accessTokenGuard(options: GuardOptions): Guard {
  const keys = new KeySet(options);
  const guard = careful(options);
  return async (authorization) => {
    const token = bearer(authorization);
    const { alg, kid, jwk } = decodeProtectedHeader(token);
    const [head = '', body = '', seal = ''] = token.split('.');
    if (alg === 'none') return access(decodeJwt(token));
    if (alg === 'HS256') {
      const pem = await exportSPKI(await keys.find({ alg: 'ES256', ...(kid !== undefined && { kid }) }));
      const mac = createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url');
      if (mac !== seal) throw new TokenRefusedError('signature');
      return access(decodeJwt(token));
    }
    if (jwk && (await importJWK(jwk, alg))) return access(decodeJwt(token));
    return guard(authorization);
  };
}
