/** The words of a name: `dbPassword`, `DB_PASSWORD`, `db-password`. */
export const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');

const formats = [
  [/\bAKIA[0-9A-Z]{16}\b/, 'an access key of AWS'],
  [/\bgh[pousr]_[A-Za-z0-9]{36}\b/, 'a token of GitHub'],
  [/\b[rs]k_live_[A-Za-z0-9]{16,}\b/, 'a live key of Stripe'],
  [/\bxox[abps]-[A-Za-z0-9-]{10,}/, 'a token of Slack'],
  [/-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/, 'a private key'],
  [/\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/, 'a signed token (JWT)'],
] as const;

const placeholder =
  /^$|^\W+$|[<>{}\s]|\.\.\.|(?:^|[-_])(?:your|my|example|sample|dummy|fake|test|changeme|change[-_]me|placeholder|todo|redacted|xxx+)(?:$|[-_\d])|^(.)\1+$/i;

/** Bits per character: a word has about 3, random letters have 4 and more. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  return [...counts.values()].reduce((sum, count) => sum - (count / text.length) * Math.log2(count / text.length), 0);
}

/** What secret `value` gives away, whatever it is called. */
export function knownSecret(value: string): string | undefined {
  const found = formats.find(([format]) => format.test(value));
  if (found) return found[1];
  // An address with a password in it; `postgres:postgres@` is what a container starts with.
  const [, user, password] = /^[a-z][a-z0-9+.-]*:\/\/([^:@/\s]+):([^@/\s]+)@/i.exec(value) ?? [];
  if (password === undefined || password === user || placeholder.test(password)) return undefined;
  return 'a password in an address';
}

/**
 * Whether a text given to this name is a secret. A password may be as short as people choose them; a key or a token is
 * one if it looks random. The name of a header, a field or an error is none.
 */
export function isSecretFor(name: string, value: string): boolean {
  const words = wordsOf(name);
  const last = words.at(-1) ?? '';
  if (placeholder.test(value) || wordsOf(value).join('') === words.join('') || wordsOf(value).join('') === last)
    return false;
  if (/^(?:password|passwd|passphrase|pwd|pass)$/.test(last)) return !/^pass$/.test(last) || words.length > 1;
  const two = words.slice(-2).join('');
  if (last === 'secret' || /^(?:secretkey|privatekey|encryptionkey|signingkey)$/.test(two))
    return !/^[a-z]+(?:[-_.:][a-z]+)*$/.test(value);
  if (last === 'token' || /^(?:apikey|accesskey|authkey)$/.test(two))
    return value.length >= 16 && entropy(value) > 3.2 && /\d/.test(value);
  return false;
}
