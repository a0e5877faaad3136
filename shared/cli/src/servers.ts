import type { ServiceReport } from '@shared/services';
import type { Lab } from './labs.ts';

/** A server that labs name, with the labs that need it. */
export type NeededServer = {
  readonly service: string;
  /** Undefined where `@shared/services` knows no such server. */
  readonly report: ServiceReport | undefined;
  readonly labs: readonly string[];
};

/** The servers that `labs` name, as they would be had now. Nothing is started. */
export async function neededServers(labs: readonly Lab[]): Promise<NeededServer[]> {
  const names = [...new Set(labs.flatMap((lab) => lab.services))].sort();
  if (names.length === 0) return [];
  const { inspectServices } = await import('@shared/services');
  // All of them: asking for one that it does not know is an error there.
  const reports = await inspectServices();
  return names.map((service) => ({
    service,
    report: reports.find((report) => report.service === service),
    labs: labs.filter((lab) => lab.services.includes(service)).map(({ name }) => name),
  }));
}

/** For each server that a lab names: whether it could be had now. */
export async function availability(labs: readonly Lab[]): Promise<Map<string, boolean>> {
  const servers = await neededServers(labs);
  return new Map(servers.map(({ service, report }) => [service, report?.available === true]));
}
