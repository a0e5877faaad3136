import type { Program } from './process.ts';
import type { Service } from './service.ts';

// apt.ts and jars.ts are loaded when they are needed: most machines have the program.

/** The program, be it installed or fetched by an earlier run. Starts and downloads nothing. */
export async function atHand(service: Service): Promise<Program | undefined> {
  const found = await service.find?.();
  if (found !== undefined) return found;
  if (service.apt !== undefined) return (await import('./apt.ts')).provisioned(service.name, service.apt);
  if (service.jars !== undefined) return (await import('./jars.ts')).javaProgram(service.name, service.jars);
  return undefined;
}

/**
 * Fetches the program into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchProgram(service: Service, signal: AbortSignal | undefined): Promise<Program | undefined> {
  const { name, apt, jars } = service;
  if (apt !== undefined) return (await import('./apt.ts')).provision(name, apt, signal);
  if (jars !== undefined) return (await import('./jars.ts')).fetchJavaProgram(name, jars, signal);
  return undefined;
}

/** How the program would be fetched at first use; undefined where it cannot or may not be. */
export async function outlook(service: Service): Promise<string | undefined> {
  const { name, apt, jars } = service;
  if (jars !== undefined) return (await import('./jars.ts')).javaOutlook(name, jars);
  if (apt === undefined || !(await (await import('./apt.ts')).canProvision())) return undefined;
  return 'not here yet: apt fetches it into a private cache at first use, about 10 s';
}

/** What was looked for in vain, where that is not plain from the server's name. */
export async function lacks(service: Service): Promise<string | undefined> {
  return service.jars === undefined ? undefined : (await import('./jars.ts')).javaLacks();
}
