export interface Settings {
  readonly service: 'shop' | 'payment' | 'courier';
  readonly redis: string;
  readonly postgres: string;
  /** Of all keys of the queue. */
  readonly prefix: string;
  /** Where spans go: a collector of OTLP over HTTP, or Zipkin. */
  readonly collector: string;
  readonly zipkin?: string;
  readonly ratio: number;
  /** Without: what `import` loads is not patched. */
  readonly hook: boolean;
  /** Without: the waybill is not on the job. */
  readonly waybill: boolean;
  readonly delayMs: number;
  readonly slowMs: number;
  readonly payment: string;
}

export const settings: Settings = JSON.parse(process.env['PARCEL'] ?? '{}');

/** To whoever started this process: it listens, or has done something. */
export function tell(event: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
