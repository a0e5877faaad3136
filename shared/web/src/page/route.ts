import { useEffect, useState } from 'preact/hooks';

export const tabs = ['story', 'laws', 'build', 'files'] as const;
export type Tab = (typeof tabs)[number];

export type Route =
  | { readonly page: 'map' }
  | {
      readonly page: 'lab';
      readonly lab: string;
      readonly tab: Tab;
      /** With `files`: which, and the line. */
      readonly file?: string;
      readonly line?: number;
    };

/** `#/redlock/laws`, `#/redlock/files/src/lease.ts:79`. */
export function readRoute(hash: string): Route {
  const [lab = '', word = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  if (lab === '') return { page: 'map' };
  const tab = tabs.find((each) => each === word) ?? 'story';
  if (tab !== 'files' || rest.length === 0) return { page: 'lab', lab, tab };
  const [, file = '', line] = /^(.*?)(?::(\d+))?$/.exec(rest.join('/')) ?? [];
  return { page: 'lab', lab, tab, file, ...(line === undefined ? {} : { line: Number(line) }) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const linkTo = (lab: string, tab: Tab = 'story', file = '', line?: number): string =>
  `#/${lab}${tab === 'story' ? '' : `/${tab}`}${file === '' ? '' : `/${file}`}${line === undefined ? '' : `:${line}`}`;

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = (): void => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return readRoute(hash);
}
