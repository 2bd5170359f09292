/** Why a backup or a restore cannot be made, as text for its operator. */
export class BackupFault extends Error {
  readonly reason = 'BACKUP';

  constructor(message: string) {
    super(message);
    this.name = 'BackupFault';
  }
}

/** The place of the backups cannot be used; `cause` says why. Distinguishes it from the store of the service. */
export class BackupPlaceError extends Error {
  readonly reason = 'BACKUP_PLACE';

  constructor(cause: unknown) {
    super('the place of the backups cannot be used', { cause });
    this.name = 'BackupPlaceError';
  }
}
