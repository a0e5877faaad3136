/** The reason when `error` says that a server cannot be had here (@shared/services' MissingServerError), else undefined. */
export function missingServer(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const missing = ('code' in error && error.code === 'MISSING_SERVER') || ('exitCode' in error && error.exitCode === 3);
  return missing ? error.message : undefined;
}
