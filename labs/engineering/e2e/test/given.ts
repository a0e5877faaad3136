/** What `runSpecs` tells the runner's workers. */
export function given(name: 'E2E_ADMIN_URL' | 'E2E_CDP_URL'): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: these specs are run by test/runner.ts`);
  return value;
}
