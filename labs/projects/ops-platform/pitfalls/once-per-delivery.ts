// Flaw: looks whether the alert is known, and then notes it: of two deliveries at once neither knows of the other.
// Seen in: webhooks of a pair of Alertmanagers, each of which sends
// Caught by: an alert that comes again starts its runbook once, until its time is over
export * from '../src/index.ts';

import { Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  protected override async claimAlert(
    ...[tx, fingerprint, cooldownMs]: Parameters<Sound['claimAlert']>
  ): Promise<boolean> {
    const { rowCount } = await tx.query(
      "SELECT FROM ops_alerts WHERE fingerprint = $1 AND at > clock_timestamp() - $2::bigint * interval '1 ms'",
      [fingerprint, cooldownMs],
    );
    if (rowCount !== 0) return false;
    await tx.query(
      'INSERT INTO ops_alerts VALUES ($1, clock_timestamp()) ON CONFLICT (fingerprint) DO UPDATE SET at = excluded.at',
      [fingerprint],
    );
    return true;
  }
}
