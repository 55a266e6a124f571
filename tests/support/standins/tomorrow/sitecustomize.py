"""The clock of every Python that finds this: a day from now."""

import datetime


class Tomorrow(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Tomorrow":
        return super().now(tz) + datetime.timedelta(days=1)


vars(datetime)["datetime"] = Tomorrow
