import { readFileSync } from 'node:fs';
import type { PackageManager } from './service.ts';

/** This system's name and package manager, as far as they are known. */
export function release(file = '/etc/os-release'): { id: string; name: string; manager: PackageManager | undefined } {
  if (process.platform === 'darwin') return { id: 'macos', name: 'macOS', manager: 'brew' };
  const entries = new Map<string, string>();
  try {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [, key, value] = /^(\w+)="?([^"]*)"?$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined) entries.set(key, value);
    }
  } catch {
    return { id: process.platform, name: process.platform, manager: undefined };
  }
  const family = `${entries.get('ID') ?? ''} ${entries.get('ID_LIKE') ?? ''}`.split(' ');
  const by = (manager: PackageManager, ...ids: string[]) =>
    ids.some((id) => family.includes(id)) ? manager : undefined;
  return {
    id: `${entries.get('ID') ?? 'linux'}${entries.get('VERSION_ID') ?? ''}`,
    name: entries.get('PRETTY_NAME') ?? process.platform,
    manager:
      by('apt', 'debian', 'ubuntu') ??
      by('dnf', 'fedora', 'rhel', 'centos') ??
      by('apk', 'alpine') ??
      by('pacman', 'arch'),
  };
}
