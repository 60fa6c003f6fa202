//! Why tokens no longer travel.

#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Shows only the kind of error, because the address may contain a password.
    #[error("Redis: {}", .0.category())]
    Redis(#[from] redis::RedisError),
    #[error("apalis-redis: {0}")]
    Queue(apalis_redis::Error),
    #[error("the store: {0:#}")]
    Store(#[from] anyhow::Error),
    #[error("the token worker ended")]
    Worker,
    #[error("the token worker is stuck")]
    Stuck,
    #[error("the token workers kept ending: the queue is deleted and its tokens are pushed again")]
    Poisoned,
}

impl From<apalis_redis::Error> for Broken {
    fn from(error: apalis_redis::Error) -> Self {
        match error {
            apalis_redis::Error::Database(error) => Self::Redis(error),
            error => Self::Queue(error),
        }
    }
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
