from django.urls import path

from lens import feature_test_views, views

app_name = "lens"
urlpatterns = [
    path("lens/", views.home, name="home"),
    path("experiments/<int:experiment_id>/features/by-text/", views.features_of_text, name="features-of-text"),
    path("lens/<uuid:analysis_id>/", views.analysis, name="analysis"),
    path("lens/features/<int:experiment_id>/<int:index>/", feature_test_views.ask, name="test-feature"),
    path("lens/<uuid:analysis_id>/features/<int:index>/", feature_test_views.answer, name="feature-test"),
]
