/** A cookie that no script can read, that no other host can set, and that isn't sent along with another site's POST. */
export function setCookie(name: string, value: string, maxAgeMs: number): string {
  return `${name}=${value}; Path=/; Max-Age=${Math.ceil(maxAgeMs / 1000)}; HttpOnly; Secure; SameSite=Lax`;
}

/** The secret in a Cookie header; undefined when it is missing, ambiguous or no secret. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').flatMap((pair) => {
    const [key, value = ''] = pair.trim().split('=', 2);
    return key === name ? [value] : [];
  });
  const [value = ''] = values;
  return values.length === 1 && /^[\w-]{43}$/.test(value) ? value : undefined;
}
