# What R says about one table (columns id, time, event, entry, group, strata, x1, x2).
# Usage: Rscript oracle.R table.csv answer.json
# The packages are called as they come; this file is a test tool, the product does not need R.
suppressPackageStartupMessages({
  library(survival)
  library(cmprsk)
  library(etm)
  library(jsonlite)
})

arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1], colClasses = c(group = "character", strata = "character"))
causes <- sort(setdiff(unique(d$event), 0))
late <- any(d$entry > 0)
# survival merges times that differ by rounding; etm and cmprsk do not, so they get rounded times.
merged <- transform(d, time = signif(time, 12))
try_or_null <- function(expr) tryCatch(suppressWarnings(expr), error = function(e) NULL)

curves <- function(d) {
  out <- list()
  grid <- sort(unique(merged$time))
  just_after <- 1e-9 * grid  # rounding must not ask for the value before a step
  state <- factor(d$event, levels = c(0, causes))
  fit <- if (late) NULL else try_or_null(survfit(Surv(time, state) ~ 1, data = d, id = id))
  for (k in causes) {
    row <- list(cause = k, times = grid)
    if (!is.null(fit)) {
      j <- match(as.character(k), fit$states)
      at <- summary(fit, times = grid + just_after, extend = TRUE)
      row$survfit <- list(estimate = at$pstate[, j], se = at$std.err[, j])
      loglog <- try_or_null(summary(
        survfit(Surv(time, state) ~ 1, data = d, id = id, conf.type = "log-log"),
        times = grid + just_after, extend = TRUE))
      row$loglog <- list(lower = loglog$lower[, j], upper = loglog$upper[, j])
    }
    gl <- try_or_null({
      fit_etm <- etmCIF(Surv(entry, time, event != 0) ~ 1, data = merged, etype = event, failcode = k)
      s <- summary(fit_etm)[[1]]
      s[[paste("CIF", k)]]
    })
    if (!is.null(gl)) row$etm <- list(times = gl$time, estimate = gl$P, var = gl$var)
    if (!late) {
      ci <- try_or_null(cuminc(merged$time, merged$event))
      if (!is.null(ci)) {
        at <- timepoints(ci[setdiff(names(ci), "Tests")], grid)
        name <- paste("1", k)
        row$cuminc <- list(estimate = unname(at$est[name, ]), var = unname(at$var[name, ]))
      }
    }
    out[[length(out) + 1]] <- row
  }
  out
}

kaplan_meier <- function(d) {
  fit <- survfit(Surv(entry, time, event != 0) ~ 1, data = d, conf.type = "log-log")
  middle <- quantile(fit, 0.5)
  list(times = fit$time, estimate = fit$surv, se = fit$surv * fit$std.err,
       lower = fit$lower, upper = fit$upper,
       median = unname(c(middle$quantile, middle$lower, middle$upper)))
}

answer <- list(curves = curves(d))
from_origin <- transform(d, entry = ifelse(entry == 0, -1, entry))  # day 0 included
answer$km <- try_or_null(kaplan_meier(from_origin))

if (!late && length(unique(d$group)) > 1) {
  tests <- function(...) {
    fit <- try_or_null(cuminc(merged$time, d$event, d$group, ...))
    if (is.null(fit)) NULL else list(cause = as.integer(rownames(fit$Tests)),
                                     statistic = unname(fit$Tests[, "stat"]),
                                     p = unname(fit$Tests[, "pv"]))
  }
  answer$gray <- tests()
  answer$gray_rho <- tests(rho = 1)
  answer$gray_strata <- tests(strata = d$strata)
  answer$models <- lapply(causes, function(k) {
    x <- model.matrix(~ group + x1 + x2, d)[, -1]
    fit <- try_or_null(crr(merged$time, d$event, x, failcode = k, gtol = 1e-12))
    state <- factor(d$event, levels = c(0, causes))
    weighted <- try_or_null(finegray(Surv(time, state) ~ ., data = cbind(d, state), etype = as.character(k),
                                     id = id))
    fg <- try_or_null(coxph(Surv(fgstart, fgstop, fgstatus) ~ group + x1 + x2, weights = fgwt,
                            data = weighted, ties = "breslow", cluster = id,
                            control = coxph.control(eps = 1e-12, toler.chol = 1e-14)))
    cox <- try_or_null(coxph(Surv(time, event == k) ~ group + x1 + x2, data = d, ties = "efron",
                             control = coxph.control(eps = 1e-12, toler.chol = 1e-14)))
    rank <- try_or_null(survdiff(Surv(time, event == k) ~ group, data = d))
    list(cause = k,
         crr = list(coef = unname(fit$coef), se = sqrt(diag(fit$var))),
         finegray = list(coef = unname(coef(fg)), se = unname(sqrt(diag(vcov(fg))))),
         cox = list(coef = unname(coef(cox)), se = unname(sqrt(diag(vcov(cox))))),
         log_rank = rank$chisq)
  })
}
write(toJSON(answer, digits = I(15), auto_unbox = TRUE, na = "null", null = "null"), arguments[2])
