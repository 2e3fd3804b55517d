/**
 * How unusual a login or the use of a privilege is, 0 to 100, by rules that can be told to the person
 * concerned. Nothing is learned and nothing is hidden: the score is the sum of the points, at most 100.
 */
import type { Access } from './access.ts';
import type { LoginFacts } from './session-queries.ts';

export interface RiskFactor {
  readonly rule: keyof RiskRules;
  readonly points: number;
  readonly why: string;
}

export interface Risk {
  /** 0 to 100. */
  readonly score: number;
  readonly factors: readonly RiskFactor[];
}

/** Points, and how much it takes for a rule to speak. */
export interface RiskRules {
  /** A name that nobody has: typing errors do that as well as lists of names. */
  readonly unknownName: { readonly points: number };
  /** No success from this address among the last forty logins, of which there were some. */
  readonly newAddress: { readonly points: number };
  /** Successes from other networks within an hour: nobody is in so many places. */
  readonly manyNetworks: {
    readonly pointsEach: number;
    readonly from: number;
    readonly most: number;
  };
  /** Wrong passwords since the last success. */
  readonly failuresBefore: {
    readonly pointsEach: number;
    readonly from: number;
    readonly most: number;
  };
  /** At an hour (and its neighbours) at which the principal hardly ever came. */
  readonly oddHour: {
    readonly points: number;
    /** So many logins say something about habits. */
    readonly leastHistory: number;
    /** The share of logins within an hour of this one, below which it is odd. */
    readonly below: number;
  };
}

/**
 * | rule | points | speaks when |
 * |---|---|---|
 * | unknownName | 25 | nobody has the name |
 * | newAddress | 25 | there were successes, none from here |
 * | manyNetworks | 20 each, at most 40 | from the second other network within the hour on |
 * | failuresBefore | 5 each, at most 40 | from the second wrong password in a row on |
 * | oddHour | 15 | 20 logins are known, under 2 % of them within an hour of this one |
 *
 * A new address alone stays at 25, as travelling is no offence; two rules reach 50, at which a
 * person should look; a guessed password on an unused account from a new place reaches 80 and more.
 */
export const riskRules: RiskRules = {
  unknownName: { points: 25 },
  newAddress: { points: 25 },
  manyNetworks: { pointsEach: 20, from: 2, most: 40 },
  failuresBefore: { pointsEach: 5, from: 2, most: 40 },
  oddHour: { points: 15, leastHistory: 20, below: 0.02 },
};

/** Of a login, from what is known before the password is judged. */
export function assessLogin(facts: LoginFacts, now: Date, rules: RiskRules = riskRules): Risk {
  const factors: RiskFactor[] = [];
  if (facts.user_id === null) {
    factors.push({
      rule: 'unknownName',
      points: rules.unknownName.points,
      why: 'nobody has the name',
    });
  }
  if (facts.successes > 0 && facts.successes_from_here === 0) {
    factors.push({
      rule: 'newAddress',
      points: rules.newAddress.points,
      why: `none of the last ${facts.successes} successful logins came from this address`,
    });
  }
  const networks = counted(facts.other_networks, rules.manyNetworks);
  if (networks > 0) {
    factors.push({
      rule: 'manyNetworks',
      points: networks,
      why: `${facts.other_networks} other networks signed in within the last hour`,
    });
  }
  const failures = counted(facts.failures_since_success, rules.failuresBefore);
  if (failures > 0) {
    factors.push({
      rule: 'failuresBefore',
      points: failures,
      why: `${facts.failures_since_success} tries failed since the last success`,
    });
  }
  factors.push(...oddHour(facts.hours, now, rules));
  return summed(factors);
}

/** Of using a privilege: `hours` are the principal's logins by hour of the day in UTC, 24 counts. */
export function assessPrivilege(
  access: Pick<Access, 'kind'>,
  at: Date,
  hours: readonly number[],
  rules: RiskRules = riskRules,
): Risk {
  // Agents work around the clock; only people have hours.
  return summed(access.kind === 'agent' ? [] : oddHour(hours, at, rules));
}

function counted(count: number, rule: { pointsEach: number; from: number; most: number }): number {
  return count < rule.from ? 0 : Math.min(rule.most, (count - rule.from + 1) * rule.pointsEach);
}

function oddHour(hours: readonly number[], at: Date, { oddHour: rule }: RiskRules): RiskFactor[] {
  const total = hours.reduce((sum, count) => sum + count, 0);
  if (total < rule.leastHistory) return [];
  const hour = at.getUTCHours();
  const near = [hour + 23, hour, hour + 1].reduce((sum, h) => sum + (hours[h % 24] ?? 0), 0);
  if (near / total >= rule.below) return [];
  const why = `${near} of ${total} logins were within an hour of ${hour} o’clock UTC`;
  return [{ rule: 'oddHour', points: rule.points, why }];
}

function summed(factors: readonly RiskFactor[]): Risk {
  const sum = factors.reduce((points, factor) => points + factor.points, 0);
  return { score: Math.max(0, Math.min(100, Math.round(sum))), factors };
}
