/** Commands whose names can be no parameters: quoted as the server's own format() does. */
import { escapeIdentifier, escapeLiteral } from 'pg';

export const createDatabase = (name: string): string =>
  `create database ${escapeIdentifier(name)} template template0`;

export const createExtension = (name: string, version: string): string =>
  `create extension ${escapeIdentifier(name)} version ${escapeLiteral(version)} cascade`;

export const updateExtension = (name: string, version: string): string =>
  `alter extension ${escapeIdentifier(name)} update to ${escapeLiteral(version)}`;
