import type { Program } from './process.ts';
import type { Service } from './service.ts';

// apt.ts, jars.ts and npm.ts are loaded when they are needed: most machines have the program.

/** The program, be it installed or fetched by an earlier run. Starts and downloads nothing. */
export async function atHand(service: Service): Promise<Program | undefined> {
  const found = await service.find?.();
  if (found !== undefined) return found;
  if (service.apt !== undefined) return (await import('./apt.ts')).provisioned(service.name, service.apt);
  if (service.jars !== undefined) return (await import('./jars.ts')).javaProgram(service.name, service.jars);
  if (service.npm !== undefined) return (await import('./npm.ts')).fromNpm(service.npm);
  if (service.provider !== undefined) return service.provider.atHand();
  return undefined;
}

/**
 * Fetches the program into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchProgram(service: Service, signal: AbortSignal | undefined): Promise<Program | undefined> {
  const { name, apt, jars, npm, provider } = service;
  if (apt !== undefined) return (await import('./apt.ts')).provision(name, apt, signal);
  if (jars !== undefined) return (await import('./jars.ts')).fetchJavaProgram(name, jars, signal);
  if (npm !== undefined) return (await import('./npm.ts')).fetchFromNpm(name, npm, signal);
  if (provider !== undefined) return provider.fetch(signal);
  return undefined;
}

/** How the program would be fetched at first use; undefined where it cannot or may not be. */
export async function outlook(service: Service): Promise<string | undefined> {
  const { name, apt, jars, npm, provider } = service;
  if (jars !== undefined) return (await import('./jars.ts')).javaOutlook(name, jars);
  if (npm !== undefined) {
    const may = await (await import('./npm.ts')).canFetchFromNpm(npm);
    return may ? 'not here yet: npm fetches it into a private cache at first use, about 10 s' : undefined;
  }
  if (provider !== undefined) return provider.outlook();
  if (apt === undefined || !(await (await import('./apt.ts')).canProvision())) return undefined;
  return 'not here yet: apt fetches it into a private cache at first use, about 10 s';
}

/** What was looked for in vain, where that is not plain from the server's name. */
export async function lacks(service: Service): Promise<string | undefined> {
  return service.jars === undefined ? undefined : (await import('./jars.ts')).javaLacks(service.jars);
}

/** See `fetchServices`. */
export async function fetchAll(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const { services } = await import('./registry.ts');
  for (const name of new Set(names)) {
    const service = services.find((each) => each.name === name);
    if (service === undefined) throw new RangeError(`there is no service "${name}"`);
    if ((await atHand(service)) !== undefined) continue;
    await fetchProgram(service, signal).catch(() => signal?.throwIfAborted());
  }
}
