import { createHmac } from 'node:crypto';
import { card, type House, type Key, newKey, sign } from './issuer.ts';

export interface Forgery {
  readonly name: string;
  readonly token: string;
}

const part = (it: unknown) => Buffer.from(JSON.stringify(it)).toString('base64url');

/** Cards that the desk has never signed, or not like this: who has made them knows what is published of `key` and `other`. */
export async function forged(house: House, key: Key, other: Key): Promise<Forgery[]> {
  const { kid, pem } = key;
  const claims = card(house, { sub: 'the manager' });
  const thief = await newKey('thief');
  const none = `${part({ alg: 'none', typ: 'at+jwt', kid })}.${part(claims)}`;
  const mac = `${part({ alg: 'HS256', typ: 'at+jwt', kid })}.${part(claims)}`;
  return [
    { name: 'alg none', token: `${none}.` },
    { name: 'HS256 with the public key', token: `${mac}.${createHmac('sha256', pem).update(mac).digest('base64url')}` },
    { name: 'brings its own key (jwk)', token: await sign(claims, { key: thief, header: { jwk: thief.jwk, kid } }) },
    { name: 'another key’s kid', token: await sign(claims, { key, header: { kid: other.kid } }) },
  ];
}

/** Cards that the desk has signed, each for something else than the door that they are shown to. */
export async function misused(house: House, key: Key): Promise<Forgery[]> {
  const now = Math.floor(Date.now() / 1000);
  const crit = { crit: ['night'], night: true };
  const of = async (name: string, more: object, header?: { readonly [name: string]: unknown }) => ({
    name,
    token: await sign(card(house, { ...more }), { key, ...(header && { header }) }),
  });
  return [
    await of('for another house (aud)', { aud: 'https://sauna.example' }),
    await of('of another desk (iss)', { iss: 'https://desk.example' }),
    await of('run out (exp)', { iat: now - 600, exp: now - 60 }),
    await of('too early (nbf)', { nbf: now + 60 }),
    await of('an ID token (typ)', {}, { typ: 'JWT' }),
    await of('a rule that nobody knows (crit)', {}, crit),
  ];
}
