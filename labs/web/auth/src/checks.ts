import { InvalidArgumentError } from './errors.ts';

/** @throws {InvalidArgumentError} for what is no whole number of milliseconds, 0 or more */
export function checkTimes(times: Readonly<Record<string, number>>): void {
  for (const [name, ms] of Object.entries(times)) {
    if (!Number.isSafeInteger(ms) || ms < 0) throw new InvalidArgumentError(`${name} ${ms}: give whole milliseconds.`);
  }
}

/** @throws {InvalidArgumentError} for what the store could not keep as it is, or OpenID Connect has no room for */
export function checkUser(sub: string): void {
  if (typeof sub === 'string' && /^[^\0]{1,255}$/.test(sub) && sub.isWellFormed()) return;
  throw new InvalidArgumentError(
    `sub ${JSON.stringify(sub)?.slice(0, 300)}: give a user's id, of 1 to 255 whole characters.`,
  );
}

/** An address without a password. It is in no message: what else it holds may be a secret too. @throws {InvalidArgumentError} */
export function checkUrl(name: string, address: string | URL): URL {
  const url = URL.parse(`${address}`);
  if (url && /^https?:$/.test(url.protocol) && url.username + url.password + url.hash === '') return url;
  throw new InvalidArgumentError(`${name}: give an http(s) address, without a password and without "#".`);
}
