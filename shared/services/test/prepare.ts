import { fetchServices, inspectServices, startPostgres, startRedis } from '../src/index.ts';

/** Fetches, builds and initialises what is not on this machine yet, so that no test's time limit pays for it. */
export default async function prepare(): Promise<void> {
  process.env['LABS_SERVICES'] = 'embedded';
  const reports = await inspectServices();
  await fetchServices(reports.map(({ service }) => service));
  await using _redis = await startRedis();
  await using _postgres = await startPostgres();
}
