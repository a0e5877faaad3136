import { InvalidArgumentError } from './errors.ts';

/**
 * A cookie that no script can read, that no other host can set, and that isn't sent along with another site's POST.
 * @throws {InvalidArgumentError} for a name that doesn't begin with `__Host-`, or a value that is no secret
 */
export function setCookie(name: string, value: string, maxAgeMs: number): string {
  if (!/^__Host-[\w-]+=[\w-]*$/.test(`${name}=${value}`) || !Number.isSafeInteger(maxAgeMs)) {
    throw new InvalidArgumentError(
      'A cookie: give a name with __Host-, letters, digits, - or _, and whole milliseconds.',
    );
  }
  return `${name}=${value}; Path=/; Max-Age=${Math.ceil(maxAgeMs / 1000)}; HttpOnly; Secure; SameSite=Lax`;
}

/** The secret in a Cookie header; undefined when it is missing, ambiguous or no secret. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').flatMap((pair) => {
    const [key, ...value] = pair.trim().split('=');
    return key === name ? [value.join('=')] : [];
  });
  const [value = ''] = values;
  return values.length === 1 && /^[\w-]{43}$/.test(value) ? value : undefined;
}
