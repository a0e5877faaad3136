import { composeContainers, urlsFromEnvironment, ways, wishedOrigin } from './choose.ts';
import { redact, ServiceError } from './errors.ts';
import { atHand, lacks, outlook } from './provision.ts';
import { services } from './registry.ts';
import type { Service } from './service.ts';
import type { Origin } from './types.ts';

/** What a lab would use if it started now. */
export interface ServiceReport {
  readonly service: string;
  readonly available: boolean;
  /** Where it would come from; undefined when nothing is at hand. */
  readonly origin: Origin | undefined;
  readonly version: string | undefined;
  /** The machine has it, in a version of its own; what is fetched into the private cache is the one that we name. */
  readonly installed: boolean;
  /** The program's path, or the URLs without their passwords. */
  readonly path: string | undefined;
  /** What else to know: "apt would fetch it once, about 8 s". */
  readonly note: string | undefined;
  /** The ways to get it on this system, likeliest first. */
  readonly ways: readonly string[];
}

/**
 * Reports on the services in the order of choice. Starts and downloads nothing, and does not log in to the user's servers.
 * @param names default: all
 * @throws RangeError for a name that is not in the registry
 */
export async function inspectServices(names?: readonly string[]): Promise<ServiceReport[]> {
  const wanted = names?.map((name) => {
    const service = services.find((one) => one.name === name);
    if (service === undefined) {
      throw new RangeError(`there is no service "${name}"; there are ${services.map((one) => one.name).join(', ')}`);
    }
    return service;
  });
  return Promise.all((wanted ?? services).map(inspect));
}

async function inspect(service: Service): Promise<ServiceReport> {
  const report = (o: Partial<ServiceReport>): ServiceReport => ({
    service: service.name,
    available: o.origin !== undefined,
    origin: undefined,
    version: undefined,
    installed: false,
    path: undefined,
    note: undefined,
    ways: ways(service),
    ...o,
  });
  try {
    const wish = wishedOrigin(service);
    if (wish !== 'embedded') {
      const urls = urlsFromEnvironment(service);
      if (urls.length > 0) return report({ origin: 'url', path: urls.map(redact).join(', ') });
      const containers = await composeContainers(service, 1, wish === 'compose');
      const path = containers?.map(({ port }) => `127.0.0.1:${port}`).join(', ');
      if (containers !== undefined) return report({ origin: 'compose', path });
      if (wish === 'compose') return report({ note: 'LABS_SERVICES=compose, but no container of ours answers' });
    }
    const program = await atHand(service);
    if (program !== undefined) {
      const installed = (await service.find?.()) !== undefined;
      return report({ origin: 'embedded', version: await service.version(program), installed, path: program.path });
    }
    const note = await outlook(service);
    return report(note === undefined ? { note: await lacks(service) } : { origin: 'embedded', note });
  } catch (error) {
    if (error instanceof ServiceError) return report({ note: error.message });
    throw error;
  }
}
